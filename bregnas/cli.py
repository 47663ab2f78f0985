"""The command line: `bregnas VERB`. Verbs of the server and of the worker are there where those are installed."""

from importlib.metadata import entry_points

import typer

from bregnas.demo import demo

GROUP = "bregnas.commands"


def build() -> typer.Typer:
    """The command line with every verb that is installed."""
    cli = typer.Typer(name="bregnas", help="Finds small neural networks.", no_args_is_help=True, add_completion=False)
    cli.command()(demo)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        verb = point.load()
        if isinstance(verb, typer.Typer):  # a verb with verbs of its own
            cli.add_typer(verb, name=point.name)
        else:
            cli.command(point.name)(verb)
    return cli


def main() -> None:
    """Run the command line."""
    build()()


if __name__ == "__main__":
    main()
