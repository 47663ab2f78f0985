"""The server's verbs on the command line: `bregnas serve`, `bregnas api`, `bregnas migrate`.

Entry points of the group `bregnas.commands`: `bregnas/cli.py` finds them there. What a verb needs is imported when it
runs, since all of them are loaded for any one.
"""

import socket
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.settings import Settings
    from app.supervisor import Command

_CLI = (sys.executable, "-m", "bregnas.cli")

_REMEMBERED = 5  # dead workers of a role; what an older one had is moved after its silence

_Fd = Annotated[int | None, typer.Option("--fd", hidden=True, help="Listen on this open socket.")]
_UntilStdinCloses = Annotated[
    bool, typer.Option("--until-stdin-closes", hidden=True, help="End when standard input does.")
]
_Workers = Annotated[int, typer.Option(min=0, max=64, help="How many workers; each runs one search at a time.")]


def migrate() -> None:
    """Bring the database to this version's tables; does nothing where they are there."""
    settings = _settings()
    from sqlalchemy.exc import SQLAlchemyError

    from store.database import migrate as migrate_database

    try:
        migrate_database(settings.store.database_url)
    except (SQLAlchemyError, OSError, ValueError) as error:
        raise _usage(ValueError(f"BREGNAS_DATABASE_URL cannot be used: {error}")) from error


def api(fd: _Fd = None, until_stdin_closes: _UntilStdinCloses = False) -> None:
    """Run the HTTP service alone (HOST, PORT); workers and `bregnas migrate` are run apart."""
    settings = _settings()
    from app.server import run
    from app.supervisor import listen

    try:
        run(settings, listen(settings.host, settings.port) if fd is None else _inherited(fd), until_stdin_closes)
    except ValueError as error:
        raise _usage(error) from error


def serve(workers: _Workers = 1) -> None:
    """Run the API and the workers of this machine, and keep them running until Ctrl-C."""
    settings = _settings()
    from app import supervisor
    from store import logs

    logs.configure(settings.log_level)
    try:
        listening = supervisor.listen(settings.host, settings.port)
    except ValueError as error:
        raise _usage(error) from error
    if subprocess.run([*_CLI, "migrate"], check=False).returncode:
        raise typer.Exit(1)  # it has said why
    if settings.require_key and subprocess.run([*_CLI, "keys", "check"], check=False).returncode:
        raise typer.Exit(2)  # the same, before a worker begins anything
    url = supervisor.address(listening)
    listening.set_inheritable(True)
    api_command = supervisor.Command(
        (*_CLI, "api", "--fd", str(listening.fileno()), "--until-stdin-closes"), descriptors=(listening.fileno(),)
    )
    status = supervisor.Supervisor(
        supervisor.Child("api", lambda: api_command),
        [supervisor.Child(f"worker {number}", worker_commands()) for number in range(1, workers + 1)],
        is_ready=lambda: supervisor.answers(url),
        ready=lambda: typer.echo(f"Bregnas answers at {url} (Ctrl-C ends it)"),
    ).run()
    raise typer.Exit(status)


def worker_commands() -> "Callable[[], Command]":
    """Commands of the workers that follow each other in one role.

    Each has an id of its own, and is told whom it replaces, so that it takes over the others' searches at once: not
    only those of the last one, which may have died before it took over what the one before it had.
    """
    from app.supervisor import Command
    from store.ids import new_id

    before: list[str] = []

    def next_command() -> Command:
        new = new_id("wrkr")
        replaces = [word for old in before for word in ("--replaces", old)]
        before[:] = [*before[-_REMEMBERED + 1 :], new]
        return Command((*_CLI, "worker", *replaces, "--until-stdin-closes"), {"BREGNAS_WORKER_ID": new})

    return next_command


def _settings() -> "Settings":
    from app.settings import Settings

    try:
        return Settings.from_environment()
    except ValueError as error:
        raise _usage(error) from error


def _inherited(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)


def _usage(error: ValueError) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(2)
