"""`bregnas search --local`: a search without a service, by whatever this machine has installed for it.

The worker's package registers an entry point of the group `bregnas.local`, `run(spec, data, folder, tell) -> search`:
a specification, a file or folder with the data or None for a named set, where the results go, and a function that is
told the search, as the API would show it, whenever it changes.
"""

import os
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import typer

from bregnas import packing, show
from bregnas.documents import SearchDocument
from bregnas.emerging import Emerging
from bregnas.errors import SearchFailed
from bregnas.plain import plain
from bregnas.verbs.options import Given, checked, option, specification
from bregnas.verbs.session import Exit, Refused, Session, Usage
from spec import SpecError

GROUP = "bregnas.local"
_FOLDER = Path("bregnas-search")
_FILES = (".zip", ".npz", ".gz", ".png", ".jpg")


def is_path(data: str) -> bool:
    """Whether a data set is a file or folder of this machine; a plain word is the name of one that is known."""
    return "/" in data or os.sep in data or data in (".", "..", "~") or data.lower().endswith(_FILES)


def run(mine: Session, given: Given, folder: Path | None) -> None:
    """Run a search here and show what it found; run again with the same options it goes on where it was left."""
    body = specification(given)
    data = body.get("data")
    place = folder or _FOLDER
    if isinstance(data, str) and is_path(data):
        checked(body | {"data": "here"}, given)
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", Path(data).resolve().stem)[:100] or "here"
        try:
            with packing.packed(data) as (file, _):
                done = _run(mine, body | {"data": name}, file, place, given)
        except (OSError, ValueError) as error:
            raise Usage(f"--data {data}: {error}") from error
    else:
        checked(body, given)
        done = _run(mine, body, None, place, given)
    if mine.json:
        mine.show(done)
    else:
        show.search(mine.out, done)
        mine.say(f"the networks are in {plain(place / 'results')}; run one with: bregnas run BUNDLE IMAGE")


def _run(mine: Session, body: dict[str, Any], data: Path | None, folder: Path, given: Given) -> SearchDocument:
    try:
        with Emerging(mine.progress) as view:
            done = SearchDocument.model_validate(
                _entry()(body, data, folder, lambda now: view.update(SearchDocument.model_validate(now)))
            )
    except KeyboardInterrupt:
        mine.say("\nit is left at its last checkpoint; the same command goes on from there")
        raise typer.Exit(Exit.DETACHED) from None
    except SpecError as error:
        raise Refused([(option(error.loc, given), error.message)]) from error
    if done.status != "succeeded":
        raise SearchFailed(done)
    return done


def _entry() -> Callable[..., dict[str, Any]]:
    found = list(entry_points(group=GROUP))
    if not found:
        raise Usage("--local needs the worker's parts: pip install 'bregnas[worker]'; or leave --local out")
    try:
        run: Callable[..., dict[str, Any]] = found[0].load()
    except ModuleNotFoundError as error:
        raise Usage(
            f"--local needs the worker's parts, and {error.name} is not here: pip install 'bregnas[worker]'"
        ) from error
    return run
