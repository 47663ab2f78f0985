"""What does a user do with a search that is under way, besides cancelling it?

Pause and resume. As in `store.searches` every function belongs to the transaction of its caller, and what is allowed
stands in `store.states`. Both are idempotent: a search that is already what is wished stays as it is.

A search that waits is paused at once and its entry leaves the queue; one that a worker has becomes `pausing`, and the
worker writes a checkpoint and lets it rest. A resumed search is queued as its next attempt, as a moved one is: so
nothing that the attempt before it may still be doing can reach it.

Errors: `NotFound`; `IllegalTransition` where the state forbids the wish.
"""

from typing import Any

from sqlalchemy import Connection, update

from store import queue, tables
from store.database import after_commit, now
from store.errors import IllegalTransition
from store.events import add as add_event
from store.searches import Search, get, lock
from store.states import ACTIVE, State, is_legal


def pause(tx: Connection, search_id: str, *, tenant: str | None = None) -> Search:
    """Let a search rest, to be resumed: at once where no worker has it, else the worker is told by `pausing`."""
    number, state, attempt = lock(tx, search_id, tenant)
    if state in ("pausing", "paused"):
        return get(tx, search_id)
    wanted: State = "pausing" if state in ACTIVE else "paused"
    if not is_legal(state, wanted):
        raise IllegalTransition(state, "paused")
    _change(tx, number, wanted)
    add_event(tx, number, attempt, wanted, {})
    if wanted == "paused":
        engine = tx.engine
        after_commit(tx, lambda: queue.drop(engine, search_id, attempt))
    return get(tx, search_id)


def resume(tx: Connection, search_id: str, *, tenant: str | None = None) -> Search:
    """Queue a paused search again, as its next attempt; what was lost before counts no longer."""
    number, state, attempt = lock(tx, search_id, tenant)
    if state in ("queued", "starting", "running"):
        return get(tx, search_id)
    if state == "pausing" or not is_legal(state, "queued"):
        raise IllegalTransition(state, "resumed")
    _change(tx, number, "queued", attempt=attempt + 1, stalls=0)
    add_event(tx, number, attempt, "resumed", {"next_attempt": attempt + 1})
    found = get(tx, search_id)
    queue.enqueue(tx, search_id, attempt + 1, found.queue, found.priority)
    return found


def _change(tx: Connection, number: int, state: State, **values: Any) -> None:
    s = tables.searches
    tx.execute(
        update(s)
        .where(s.c.number == number)
        .values(state=state, eta_s=None, version=s.c.version + 1, updated_at=now(), **values)
    )
