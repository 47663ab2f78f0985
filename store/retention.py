"""What is kept no longer?

Keys of requests after a day; copies of checkpoints once their search is over; objects that no row names, which a
killed process or an interrupted deletion left. An object is put before the row that names it is written: so a young one
is never touched, nor one of the attempt that is at work. Any number of workers may tidy at once.

Errors: those of `store.database` and `StoreUnavailable`; what was not done then is done the next time.
"""

import re
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from sqlalchemy import Connection, Engine, select, update

from store import datasets, tables
from store.artifacts import Artifacts
from store.database import read, write
from store.states import ACTIVE, TERMINAL

YOUNG_S: Final = 86_400.0
"""By this machine's clock and the store's: much longer than clocks are wrong, since all that waiting costs is space."""

_CHUNK: Final = 500
_OF_A_SET: Final = re.compile(r"datasets/([^/]+)/[0-9a-f]{64}")
_OF_AN_ATTEMPT: Final = re.compile(r"searches/([^/]+)/(\d+)/[0-9a-f]{64}")


def over(engine: Engine, search_ids: Iterable[str]) -> set[str]:
    """Those of these searches that have ended, or do not exist (any more)."""
    given = set(search_ids)
    s = tables.searches
    alive: set[str] = set()
    with read(engine) as tx:
        for some in _chunks(sorted(given)):
            alive |= set(tx.scalars(select(s.c.id).where(s.c.id.in_(some), s.c.state.not_in(TERMINAL))))
    return given - alive


def drop_copies(engine: Engine, artifacts: Artifacts) -> int:
    """Delete the copies of checkpoints of searches that are over; how many."""
    s, a = tables.searches, tables.attempts
    of_the_ended = (a.c.checkpoint_key.is_not(None), a.c.search.in_(select(s.c.number).where(s.c.state.in_(TERMINAL))))
    with read(engine) as tx:
        keys = sorted(set(tx.scalars(select(a.c.checkpoint_key).where(*of_the_ended))))
    artifacts.delete(keys)
    for some in _chunks(keys):
        with write(engine) as tx:
            tx.execute(update(a).where(a.c.checkpoint_key.in_(some)).values(checkpoint_key=None))
    return len(keys)


def collect(engine: Engine, artifacts: Artifacts, young_s: float = YOUNG_S) -> int:
    """Delete the objects that no row names and that are older than `young_s` seconds; how many."""
    before = time.time() - young_s
    deleted = 0
    for prefix, unnamed_of in (("searches", _unnamed), ("datasets", _unnamed_sets)):
        old = (key for key, changed_at in artifacts.keys(prefix) if changed_at < before)
        for some in _chunks(old):
            with read(engine) as tx:
                unnamed = unnamed_of(tx, some)
            artifacts.delete(unnamed)
            deleted += len(unnamed)
    return deleted


def _unnamed_sets(tx: Connection, keys: list[str]) -> list[str]:
    parts = {key: found[1] for key in keys if (found := _OF_A_SET.fullmatch(key))}
    kept = datasets.existing(tx, list(parts.values()))
    return [key for key, dataset_id in parts.items() if dataset_id not in kept]


def _unnamed(tx: Connection, keys: list[str]) -> list[str]:
    s, a, p = tables.searches, tables.attempts, tables.artifacts
    named = set(tx.scalars(select(p.c.key).where(p.c.key.in_(keys))))
    named |= set(tx.scalars(select(a.c.checkpoint_key).where(a.c.checkpoint_key.in_(keys))))
    parts = {key: found for key in keys if (found := _OF_AN_ATTEMPT.fullmatch(key))}  # what we did not write stays
    ids = {found[1] for found in parts.values()}
    working = tx.execute(select(s.c.id, s.c.attempt).where(s.c.id.in_(ids), s.c.state.in_(ACTIVE)))
    at_work = {(row.id, row.attempt) for row in working}
    return [key for key, found in parts.items() if key not in named and (found[1], int(found[2])) not in at_work]


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(keys)
    while some := list(islice(waiting, _CHUNK)):
        yield some
