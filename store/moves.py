"""What becomes of a search whose worker is gone?

It is moved: in one transaction its attempt is raised, where that is still the current one, and an entry for the next
attempt is queued. Any number of sweepers may do this at once, on any machine: one of them wins, and the worker that
was thought dead is fenced off from that moment on (`store.attempts`). The old entry is dropped afterwards.

Two rules say that a worker is gone, for as long as a `Watch` has seen it so:

- a search that was started: its attempt's heartbeat stays the same;
- a search that was queued: the queue has given its entry away (or lost it), and nobody has called `Attempt.start`,
  which is the first thing a worker does. So it died between the two, or failed there.

How long that is, the watcher's own steady clock says. Clocks that can be set, the database's included, are not asked:
one that jumps by an hour makes nobody dead, and the dead not alive.

A user's wish is fulfilled rather than moved: cancelling → cancelled, pausing → paused. A search lost `limit` times
without a new checkpoint in between fails with the code `worker_lost`, lest it take one worker after the other.

Threads: all functions may be called from any thread; a `Watch` belongs to one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Row, select, update

from store import queue, tables
from store.database import after_commit, now, read, write
from store.events import add as add_event
from store.states import ACTIVE, AFTER_LOSS, TERMINAL, State

LIMIT: Final = 3
"""Losses without a new checkpoint between them after which a search is given up."""

_OLDEST: Final = 500
"""How many queued searches a sweep looks at: the queue is first come, first served, so the stranded are in front."""

_ADVICE: Final = (
    "The worker that ran this search was lost {count} times without a new checkpoint in between. Most likely its "
    "machine ran out of memory or was restarted. Look at the worker's log; make the search smaller (narrower layers, "
    "a smaller batch_size) or give the worker more memory, then post it again."
)


@dataclass(frozen=True, slots=True)
class Moved:
    """A search that was taken from a worker."""

    search_id: str
    attempt: int
    """The attempt that is over."""
    state: State
    """What the search is now: queued, cancelled, paused or failed."""


@dataclass(frozen=True, slots=True)
class _Sign:
    """What a search looks like while nobody is heard of: the same heartbeat, or none and no worker to wait for."""

    search_id: str
    attempt: int
    heartbeat: float | None


class Watch:
    """Moves what nobody works on: whatever looks the same in every sweep for longer than `silent_s` seconds.

    Sweep at intervals well below half of that: a sweep that comes later after the one before it begins anew, since
    what held the watcher up (a frozen machine, a locked database) may have held up the watched.
    """

    def __init__(self, engine: Engine, silent_s: float, steady: Callable[[], float] = time.monotonic) -> None:
        self.engine, self.silent_s, self.steady = engine, silent_s, steady
        self._since: dict[_Sign, float] = {}
        self._swept_at = steady()

    def forget(self) -> None:
        """Begin anew: the database was away, and nobody could be heard of."""
        self._since = {}

    def sweep(self, limit: int = LIMIT) -> list[Moved]:
        """Look at all that is under way, and move what has been silent for too long."""
        started, stranded = _started(self.engine), _stranded(self.engine)
        at = self.steady()
        if at - self._swept_at > self.silent_s / 2:
            self.forget()
        self._swept_at = at
        self._since = {sign: self._since.get(sign, at) for sign in (*started, *stranded)}
        silent = {sign for sign, since in self._since.items() if at - since > self.silent_s}
        moves = [
            *(self._move_started(sign, started[sign], limit) for sign in started if sign in silent),
            *(
                _move(self.engine, sign.search_id, sign.attempt, "queued", limit=limit)
                for sign in stranded
                if sign in silent
            ),
        ]
        return [moved for moved in moves if moved]

    def _move_started(self, sign: _Sign, state: State, limit: int) -> Moved | None:
        s, a = tables.searches, tables.attempts
        still = select(a.c.search).where(
            a.c.search == s.c.number, a.c.attempt == s.c.attempt, a.c.heartbeat_at == sign.heartbeat
        )
        return _move(self.engine, sign.search_id, sign.attempt, state, only_if=still.exists(), limit=limit)


def move_from(engine: Engine, worker: str, limit: int = LIMIT) -> list[Moved]:
    """Move at once everything that a worker has which is known to be dead (its process was seen to end)."""
    s, a = tables.searches, tables.attempts
    with read(engine) as tx:
        had = select(s.c.id, s.c.attempt, s.c.state).join(a, (a.c.search == s.c.number) & (a.c.attempt == s.c.attempt))
        started = tx.execute(had.where(s.c.state.in_(ACTIVE), a.c.worker == worker)).all()
    taken = [(entry.search_id, entry.attempt, "queued") for entry in queue.taken_by(engine, worker)]
    moves = (_move(engine, *attempt, limit=limit) for attempt in (*started, *taken))
    return [moved for moved in moves if moved]


def hand_back(engine: Engine, search_id: str, attempt: int) -> Moved | None:
    """Queue a search again that its own worker gives up; None where it is no longer this attempt's."""
    for state in ("running", "starting", "pausing", "cancelling"):
        if moved := _move(engine, search_id, attempt, state, outcome="handed_back"):
            return moved
    return None


def _started(engine: Engine) -> dict[_Sign, State]:
    """The searches that a worker has, with their states."""
    s, a = tables.searches, tables.attempts
    with read(engine) as tx:
        found = tx.execute(
            select(s.c.id, s.c.attempt, a.c.heartbeat_at, s.c.state)
            .join(a, (a.c.search == s.c.number) & (a.c.attempt == s.c.attempt))
            .where(s.c.state.in_(ACTIVE))
        ).all()
    return {_Sign(search_id, attempt, heartbeat): state for search_id, attempt, heartbeat, state in found}


def _stranded(engine: Engine) -> list[_Sign]:
    """The queued searches that no worker will start, unless one has just taken them."""
    s = tables.searches
    with read(engine) as tx:
        waiting = select(s.c.id, s.c.attempt).where(s.c.state == "queued").order_by(s.c.id).limit(_OLDEST)
        queued = [(row.id, row.attempt) for row in tx.execute(waiting)]
    entries = queue.entries(engine, queued)
    return [_Sign(*attempt, None) for attempt in queued if attempt not in entries or not entries[attempt].waiting]


def _move(
    engine: Engine,
    search_id: str,
    attempt: int,
    state: State,
    *,
    only_if: ColumnElement[bool] | None = None,
    outcome: str = "lost",
    limit: int = LIMIT,
) -> Moved | None:
    """Take the search from this attempt; None where another was faster or the state has changed."""
    s = tables.searches
    fence = [s.c.id == search_id, s.c.attempt == attempt, s.c.state == state]
    if only_if is not None:
        fence.append(only_if)
    wanted = AFTER_LOSS[state]
    counted = wanted == "queued" and outcome == "lost"
    with write(engine) as tx:
        row = None
        if counted:
            failure = {"error_code": "worker_lost", "error_message": _ADVICE.format(count=limit)}
            row = _change(tx, [*fence, s.c.stalls + 1 >= limit], "failed", **failure)
        if row is None and wanted == "queued":
            again = {"attempt": attempt + 1, "stalls": s.c.stalls + int(counted)}
            row = _change(tx, fence, "queued", **again)
        elif row is None:
            row = _change(tx, fence, wanted)
        if row is None:
            return None

        now_is: State = row.state
        a = tables.attempts
        tx.execute(
            update(a).where(a.c.search == row.number, a.c.attempt == attempt).values(ended_at=now(), outcome=outcome)
        )
        if now_is == "queued":
            queue.enqueue(tx, search_id, attempt + 1, row.queue, row.priority)
            kind = "handed_back" if outcome == "handed_back" else "moved"
            add_event(tx, row.number, attempt, kind, {"next_attempt": attempt + 1})
        else:
            told = {"code": row.error_code, "message": row.error_message} if now_is == "failed" else {}
            add_event(tx, row.number, attempt, now_is, told)
        if outcome == "lost":  # who hands back returns from the entry by itself
            after_commit(tx, lambda: queue.drop(engine, search_id, attempt))
    return Moved(search_id, attempt, now_is)


def _change(tx: Connection, fence: Sequence[ColumnElement[bool]], state: State, **values: Any) -> Row[Any] | None:
    s = tables.searches
    finished = {"finished_at": now()} if state in TERMINAL else {}
    return tx.execute(
        update(s)
        .where(*fence)
        .values(state=state, eta_s=None, version=s.c.version + 1, updated_at=now(), **finished, **values)
        .returning(s.c.number, s.c.state, s.c.queue, s.c.priority, s.c.error_code, s.c.error_message)
    ).one_or_none()
