"""What has happened to a search, in order?

Events are appended and never changed. Their id is the cursor of the list and of the stream. A reader that has seen an
id has seen all of that search before it: an event is only ever added in a transaction that has changed the search's
row, whose lock puts those transactions in a row (a sequence alone would not: on PostgreSQL ids are given before
the commit).

Kinds: queued, starting, running, epoch, sample, trainer_died, moved, handed_back, cancelling, cancelled, paused,
succeeded, failed; a worker may add kinds of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from store import tables
from store.database import now
from store.finite import finite
from store.owners import number as number_of
from store.page import Page


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened to a search."""

    id: int
    attempt: int
    kind: str
    data: dict[str, Any]
    created_at: float


def add(tx: Connection, number: int, attempt: int, kind: str, data: Mapping[str, Any]) -> None:
    """Append an event. The transaction must have changed the row of the search before."""
    values = {"search": number, "attempt": attempt, "kind": kind, "data": finite(data), "created_at": now()}
    tx.execute(insert(tables.events).values(values))


def events(
    tx: Connection,
    search_id: str,
    *,
    after: int = 0,
    limit: int = 100,
    kind: str | None = None,
    tenant: str | None = None,
) -> Page[Event]:
    """List the events of a search after a cursor, oldest first: of one kind, or with a minus of all but that one."""
    t = tables.events
    number = number_of(tx, search_id, tenant)
    of_kind = []
    if kind is not None:
        of_kind = [t.c.kind != kind[1:] if kind.startswith("-") else t.c.kind == kind]
    found = tx.execute(
        select(t.c.id, t.c.attempt, t.c.kind, t.c.data, t.c.created_at)
        .where(t.c.search == number, t.c.id > after, *of_kind)
        .order_by(t.c.id)
        .limit(limit + 1)
    ).all()
    return Page([Event(*row) for row in found[:limit]], has_more=len(found) > limit)
