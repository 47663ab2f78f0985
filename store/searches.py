"""What searches are there, and what does a user do with them?

Used by the API. Every function takes a connection of `database.read` or `database.write` and belongs to its
transaction: nothing has happened before that commits. What a user may do follows the table in `store.states`.

`tenant` is whose request it is: another's search is not found. None, the default, is for the worker.

Errors: `NotFound` for an id that does not exist; `IllegalTransition` where a state forbids the wish.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, literal, select, type_coerce, update
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects.postgresql import JSONB

from store import layers as layers_
from store import queue as queue_
from store import tables
from store.database import after_commit, now
from store.errors import IllegalTransition as IllegalTransition
from store.errors import NotFound as NotFound
from store.events import Event as Event
from store.events import add as add_event
from store.events import events as events
from store.history import history as history
from store.ids import new_id
from store.layers import Layer as Layer
from store.owners import number as number_of
from store.owners import owned
from store.page import Page as Page
from store.states import ACTIVE, State, is_legal


@dataclass(frozen=True, slots=True)
class Search:
    """A search as its row says; times are Unix seconds."""

    id: str
    name: str | None
    state: State
    attempt: int
    queue: str
    priority: int
    """Of those that wait, the higher is taken first."""
    version: int
    """Rises with every change: the ETag."""
    spec: dict[str, Any]
    metadata: dict[str, str]
    superstructure: str
    task: str
    data: str
    seed: int
    stage: str | None
    epoch: int | None
    epochs: int | None
    eta_s: float | None
    layers: list[dict[str, Any]]
    """`{name, width, active}`; `active` is None before the first epoch."""
    parameters: int | None
    macs: int | None
    train_loss: float | None
    validation_loss: float | None
    metrics: dict[str, Any] | None
    result: dict[str, Any] | None
    bundle_name: str | None
    bundle_sha256: str | None
    error_code: str | None
    error_message: str | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    updated_at: float


@dataclass(frozen=True, slots=True)
class Artifact:
    """A published file of a search."""

    name: str
    attempt: int
    key: str
    sha256: str
    size: int
    media_type: str
    created_at: float


_SHOWN = [tables.searches.c[field.name] for field in fields(Search)]


def create(
    tx: Connection,
    *,
    name: str | None,
    spec: Mapping[str, Any],
    metadata: Mapping[str, str],
    layers: Sequence[Layer],
    queue: str,
    superstructure: str,
    task: str,
    data: str,
    seed: int,
    epochs: int | None = None,
    parameters: int | None = None,
    macs: int | None = None,
    priority: int = 0,
    tenant: str = tables.LOCAL,
) -> Search:
    """Accept a search: its row, its layers and its entry in the queue, together or not at all."""
    # The id takes its time from the database too, so that lists are in the order of one clock.
    search_id = new_id("srch", tx.scalar(select(now())))
    number = tx.execute(
        insert(tables.searches)
        .values(
            id=search_id,
            name=name,
            state="queued",
            attempt=1,
            queue=queue,
            priority=priority,
            tenant=tenant,
            spec=dict(spec),
            metadata=dict(metadata),
            superstructure=superstructure,
            task=task,
            data=data,
            seed=seed,
            epochs=epochs,
            layers=layers_.shown(layers, None),
            parameters=parameters,
            macs=macs,
            created_at=now(),
            updated_at=now(),
        )
        .returning(tables.searches.c.number)
    ).scalar_one()
    layers_.replace(tx, number, layers)
    add_event(tx, number, 1, "queued", {})
    queue_.enqueue(tx, search_id, 1, queue, priority)
    return get(tx, search_id)


def get(tx: Connection, search_id: str, *, tenant: str | None = None) -> Search:
    """Read one search."""
    row = tx.execute(select(*_SHOWN).where(owned(search_id, tenant))).one_or_none()
    if row is None:
        raise NotFound(search_id)
    return _search(row)


def glance(tx: Connection, search_id: str, *, tenant: str | None = None) -> tuple[State, int]:
    """Read the state and the version of one search, for who knows the rest already."""
    c = tables.searches.c
    row = tx.execute(select(c.state, c.version).where(owned(search_id, tenant))).one_or_none()
    if row is None:
        raise NotFound(search_id)
    return row.state, row.version


def list_page(
    tx: Connection,
    *,
    limit: int = 20,
    after: str | None = None,
    status: State | None = None,
    metadata: Mapping[str, str] | None = None,
    tenant: str | None = None,
) -> Page[Search]:
    """List searches, newest first, from the one after the id `after` on.

    Ids sort by creation, so the search named by `after` need not exist any more. Every search that exists while the
    pages are read stands on exactly one of them, whatever else is added or deleted meanwhile.
    """
    c = tables.searches.c
    statement = select(*_SHOWN).order_by(c.id.desc()).limit(limit + 1)
    if tenant is not None:
        statement = statement.where(c.tenant == tenant)
    if after is not None:
        statement = statement.where(c.id < after)
    if status is not None:
        statement = statement.where(c.state == status)
    for key, value in (metadata or {}).items():
        statement = statement.where(_has_metadata(tx, key, value))
    rows = tx.execute(statement).all()
    return Page([_search(row) for row in rows[:limit]], has_more=len(rows) > limit)


def artifacts(tx: Connection, search_id: str, *, tenant: str | None = None) -> list[Artifact]:
    """List what a search has published, by name; empty before its success."""
    t = tables.artifacts
    shown = [t.c[field.name] for field in fields(Artifact)]
    found = tx.execute(select(*shown).where(t.c.search == number_of(tx, search_id, tenant)).order_by(t.c.name))
    return [Artifact(*row) for row in found]


def artifact(tx: Connection, search_id: str, name: str, *, tenant: str | None = None) -> Artifact:
    """Read one published file's row; `NotFound` too where the search has none of that name."""
    for found in artifacts(tx, search_id, tenant=tenant):
        if found.name == name:
            return found
    raise NotFound(f"artifact {name!r} of {search_id}")


def cancel(tx: Connection, search_id: str, *, tenant: str | None = None) -> Search:
    """Wish a search away: at once where no worker has it, else the worker is told by the state `cancelling`.

    Idempotent: a search that is being cancelled, or was, stays as it is.
    """
    number, state, attempt = lock(tx, search_id, tenant)
    if state in ("cancelling", "cancelled"):
        return get(tx, search_id)
    wanted: State = "cancelling" if state in ACTIVE else "cancelled"
    if not is_legal(state, wanted):
        raise IllegalTransition(state, "cancelled")
    t = tables.searches
    change: dict[str, Any] = {"state": wanted, "version": t.c.version + 1, "updated_at": now()}
    if wanted == "cancelled":
        change |= {"finished_at": now(), "eta_s": None}
        engine = tx.engine
        after_commit(tx, lambda: queue_.drop(engine, search_id, attempt))
    tx.execute(update(t).where(t.c.number == number).values(**change))
    add_event(tx, number, attempt, wanted, {})
    return get(tx, search_id)


def delete(tx: Connection, search_id: str, *, tenant: str | None = None) -> list[str]:
    """Delete a search that no worker has, and all its rows; give the keys of its objects, to be deleted next.

    A search that still waits in the queue goes too. `Artifacts.delete_search` removes also what no row knows of.
    """
    number, state, attempt = lock(tx, search_id, tenant)
    if state in ACTIVE:
        raise IllegalTransition(state, "deleted")
    a, tried = tables.artifacts, tables.attempts
    keys = set(tx.scalars(select(a.c.key).where(a.c.search == number)))
    keys |= set(
        tx.scalars(select(tried.c.checkpoint_key).where(tried.c.search == number, tried.c.checkpoint_key.is_not(None)))
    )
    tx.execute(delete_from(tables.searches).where(tables.searches.c.number == number))
    engine = tx.engine
    after_commit(tx, lambda: queue_.forget(engine, search_id, range(1, attempt + 1)))
    return sorted(keys)


def lock(tx: Connection, search_id: str, tenant: str | None = None) -> tuple[int, State, int]:
    """Read the state for a change of it, and keep others from changing it first."""
    c = tables.searches.c
    found = select(c.number, c.state, c.attempt).where(owned(search_id, tenant)).with_for_update()
    row = tx.execute(found).one_or_none()
    if row is None:
        raise NotFound(search_id)
    return row.number, row.state, row.attempt


def _has_metadata(tx: Connection, key: str, value: str) -> ColumnElement[bool]:
    column = tables.searches.c.metadata
    if tx.dialect.name == "postgresql":
        return type_coerce(column, JSONB).contains({key: value})
    # Not a JSON path: a quote in the key would break it.
    member = func.json_each(column).table_valued("key", "value")
    return select(literal(1)).select_from(member).where(member.c.key == key, member.c.value == value).exists()


def _search(row: Row[Any]) -> Search:
    return Search(**row._mapping)
