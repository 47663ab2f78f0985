"""`bregnas login`: keep an address and a key for it, once the service has taken it."""

import sys

import typer

from bregnas import profiles
from bregnas.client import Bregnas
from bregnas.plain import plain
from bregnas.profiles import Access
from bregnas.verbs.session import session


def login(context: typer.Context) -> None:
    """Keep an address and its key in a file that is yours alone; the key is asked for, or read from standard input.

    For instance: bregnas --url https://bregnas.example.org login
    """
    mine = session(context)
    name = mine.profile or profiles.DEFAULT
    known = profiles.load().get(name)
    url = profiles.checked_url(mine.url or (known.url if known else profiles.URL))
    if sys.stdin.isatty():
        key = typer.prompt(
            f"Key for {url} (bgk_…; empty where it asks for none)", default="", hide_input=True, show_default=False
        )
    else:
        key = sys.stdin.readline()
    key = key.strip()
    access = Access(url, profiles.checked_key(key) if key else None)
    with Bregnas(url, key) as client:
        next(client.searches.list(most=1), None)  # raises where the service does not take it
    path = profiles.save(name, access)
    mine.say(f"{plain(url)} takes it; kept as the profile {name} in {path}")
