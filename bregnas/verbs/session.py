"""What every verb shares: the global options, where results and progress go, and what a program's end means."""

import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import typer
from pydantic import BaseModel
from rich.console import Console

from bregnas.client import Bregnas, Search
from bregnas.errors import (
    APIError,
    BregnasError,
    DownloadDiffers,
    FieldProblem,
    SearchCancelled,
    SearchFailed,
    Unreachable,
    WaitTimeout,
)
from bregnas.plain import as_json, plain

_WIDTH = 160  # columns, where nobody says how many there are


class Exit(IntEnum):
    """How a verb ends; scripts rely on it."""

    DONE = 0
    SERVER = 1
    USAGE = 2
    TIMEOUT = 3
    KEY = 4
    FAILED = 5
    CANCELLED = 6
    DIFFERS = 7
    DETACHED = 130


class Usage(BregnasError):
    """What was typed cannot be done; the message says what to type instead."""


class Refused(BregnasError):
    """A search that is not valid, field by field; `options` are what the user called the fields."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("the search cannot be queued as it is")
        self.problems = problems


@dataclass(frozen=True)
class Session:
    """The global options of one call."""

    url: str | None = None
    profile: str | None = None
    json: bool = False
    quiet: bool = False

    def client(self) -> Bregnas:
        """The service that is meant."""
        return Bregnas(self.url, profile=self.profile)

    @property
    def out(self) -> Console:
        """Where results go."""
        return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, markup=False)

    @property
    def progress(self) -> Console:
        """Where everything else goes."""
        width = None if sys.stderr.isatty() else _WIDTH
        return Console(stderr=True, width=width, highlight=False, markup=False, quiet=self.quiet)

    def say(self, text: str) -> None:
        """Say something that is no result."""
        if not self.quiet:
            typer.echo(text, err=True)

    def show(self, value: BaseModel | list[Any] | dict[str, Any]) -> None:
        """Print a result as JSON."""
        typer.echo(as_json(_plain_data(value)))


def session(context: typer.Context) -> Session:
    """The global options of this call."""
    found = context.find_root().obj
    assert isinstance(found, Session)
    return found


def waited(mine: Session, search: Search, timeout: float | None, console: Console) -> Search:
    """Wait for a search and show how it goes; on Ctrl-C it runs on. Raises as `Search.wait`."""
    from bregnas.emerging import Emerging

    try:
        with Emerging(console) as view:
            return search.wait(timeout, view.update, longest_s=2.0)
    except KeyboardInterrupt:
        detached(mine, search.id)
        raise typer.Exit(Exit.DETACHED) from None


def detached(mine: Session, search_id: str) -> None:
    """Say that a search runs on, and what can be done with it."""
    mine.say(
        f"\nthe search runs on; go on watching: bregnas watch {search_id}\n"
        f"                        or end it: bregnas cancel {search_id}"
    )


def ended(error: Exception) -> Exit:
    """What a program's end is where this was raised."""
    match error:
        case Usage() | Refused():
            return Exit.USAGE
        case WaitTimeout():
            return Exit.TIMEOUT
        case SearchFailed():
            return Exit.FAILED
        case SearchCancelled():
            return Exit.CANCELLED
        case DownloadDiffers():
            return Exit.DIFFERS
        case APIError(status=401 | 403):
            return Exit.KEY
        case APIError(status=status) if 400 <= status < 500 and status not in (408, 429):
            return Exit.USAGE
        case APIError() | Unreachable():
            return Exit.SERVER
        case _:
            return Exit.USAGE


def explained(error: Exception) -> str:
    """What a user is told."""
    match error:
        case Refused():
            return "\n".join([f"{error}:", *(f"  {plain(option)}: {plain(msg)}" for option, msg in error.problems)])
        case APIError(errors=(FieldProblem(loc=("path", "id")), *_)):
            return "that is no id; `bregnas list` shows those of searches, `bregnas data list` those of data sets"
        case APIError():
            lines = [plain(error.detail)]
            if len(error.errors) > 1:
                lines += [f"  {_where(one)}: {plain(one.msg)}" for one in error.errors]
            if error.status == 401:
                lines.append("log in with: bregnas login, or set BREGNAS_KEY")
            if error.request_id and error.status >= 500:
                lines.append(f"the operator finds it in the log as {plain(error.request_id)}")
            return "\n".join(lines)
        case Unreachable():
            return f"{plain(error)}\nis it running? start one here with: bregnas serve, or name another with --url"
        case WaitTimeout():
            return f"{plain(error)}: bregnas watch {plain(error.search_id)}"
        case _:
            return plain(error)


def _where(problem: FieldProblem) -> str:
    return plain(".".join(map(str, problem.loc)))


def _plain_data(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [_plain_data(one) for one in value]
    return value
