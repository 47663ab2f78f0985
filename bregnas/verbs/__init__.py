"""The verbs of the command line, a file a theme; `bregnas/cli.py` puts them together."""
