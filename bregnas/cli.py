"""The command line: `bregnas VERB`. Verbs of the server and of the worker are there where those are installed.

Ends with 0 done, 1 the service (away, or at fault), 2 what was typed, 3 the time to wait is over, 4 the key, 5 the
search failed, 6 it was cancelled, 7 a bundle or a download differs, 130 detached: the search runs on.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Annotated

import typer

from bregnas.connection import own_version
from bregnas.demo import demo
from bregnas.errors import BregnasError
from bregnas.verbs import bundles, searches
from bregnas.verbs.data import data
from bregnas.verbs.doctor import doctor
from bregnas.verbs.login import login
from bregnas.verbs.session import Session, ended, explained

GROUP = "bregnas.commands"

_SEARCHES, _FOUND, _HERE = "Searches", "Networks that were found", "This machine"
_VERBS = {
    _SEARCHES: (
        ("search", searches.search),
        ("estimate", searches.estimate),
        ("list", searches.list_),
        ("show", searches.show_),
        ("watch", searches.watch),
        ("layers", searches.layers),
        ("front", searches.front),
        ("compare", searches.compare),
        ("pause", searches.pause),
        ("resume", searches.resume),
        ("cancel", searches.cancel),
        ("clone", searches.clone),
    ),
    _FOUND: (
        ("download", bundles.download),
        ("verify", bundles.verify),
        ("run", bundles.run),
        ("push", bundles.push),
        ("architectures", searches.architectures),
    ),
    _HERE: (("demo", demo), ("doctor", doctor), ("login", login)),
}
_EVERYWHERE = "--url, --profile, --json and --quiet may stand here too: bregnas --help"
_TAKES_VALUE = ("--url", "--profile")
_FLAGS = ("--json", "--quiet")


def build() -> typer.Typer:
    """The command line with every verb that is installed."""
    cli = typer.Typer(
        name="bregnas",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    cli.callback(help="Finds small neural networks: name a size, get a trained network of that size.")(_begin)
    for panel, verbs in _VERBS.items():
        for name, verb in verbs:
            cli.command(name, rich_help_panel=panel, epilog=_EVERYWHERE)(verb)
    cli.add_typer(data, name="data", rich_help_panel=_SEARCHES)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        verb = point.load()
        if isinstance(verb, typer.Typer):  # a verb with verbs of its own
            cli.add_typer(verb, name=point.name, rich_help_panel="The service")
        else:
            cli.command(point.name, rich_help_panel="The service")(verb)
    return cli


def _begin(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="The service; else BREGNAS_URL, the profile, or this machine's.", show_default=False
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="What `bregnas login` kept under that name.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Results as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but results.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Say the version, and end.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"bregnas {own_version()}")
        raise typer.Exit
    context.obj = Session(url=url, profile=profile, json=as_json, quiet=quiet)


def run(arguments: Sequence[str]) -> int:
    """Run the command line, and return how it ended."""
    try:
        build()(_global_first(list(arguments)), prog_name="bregnas")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BregnasError as error:
        typer.echo(explained(error), err=True)
        return int(ended(error))
    return 0


def _global_first(arguments: list[str]) -> list[str]:
    """The global options may stand anywhere; the parser wants them first."""
    first: list[str] = []
    rest: list[str] = []
    while arguments:
        word = arguments.pop(0)
        if word == "--":
            return [*first, *rest, word, *arguments]
        if word in _FLAGS or word.startswith(tuple(f"{name}=" for name in _TAKES_VALUE)):
            first.append(word)
        elif word in _TAKES_VALUE and arguments:
            first += [word, arguments.pop(0)]
        else:
            rest.append(word)
    return first + rest


def main() -> None:
    """Run the command line as a program."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
