"""Has this request been made before?

A caller that sends an `Idempotency-Key` may send its request again when it did not see the answer: the key is claimed
in the very transaction that accepts the search, so both exist or neither. Of two requests with one key at the same
time the database lets one insert it; the other waits for that transaction and then reads what it made.

Keys belong to a tenant and are forgotten after a day (`forget`).
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from store.database import now, write
from store.searches import Search, get
from store.tables import LOCAL, idempotency

KEPT_S: Final = 86_400.0
Make = Callable[[Connection], Search]


class Mismatch(Exception):
    """The key was used before, for another request."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} was used for another request")
        self.key = key


def once(tx: Connection, key: str, body_sha256: str, make: Make, tenant: str = LOCAL) -> tuple[Search, bool]:
    """Make the search, or give the one that this key has made before, as it is now; True where it is new.

    Raises `Mismatch` where the key belongs to another body, `NotFound` where its search has been deleted since.
    """
    t = idempotency
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    claim = {"tenant": tenant, "key": key, "body_sha256": body_sha256, "search_id": "", "created_at": now()}
    mine = (t.c.tenant == tenant, t.c.key == key)
    if tx.execute(insert(t).values(claim).on_conflict_do_nothing().returning(t.c.key)).one_or_none() is not None:
        made = make(tx)
        tx.execute(update(t).where(*mine).values(search_id=made.id))
        return made, True
    before = tx.execute(select(t.c.body_sha256, t.c.search_id).where(*mine)).one()
    if before.body_sha256 != body_sha256:
        raise Mismatch(key)
    return get(tx, before.search_id, tenant=tenant), False


def forget(engine: Engine, older_than_s: float = KEPT_S) -> int:
    """Forget old keys; how many."""
    with write(engine) as tx:
        return tx.execute(delete(idempotency).where(idempotency.c.created_at < now() - older_than_s)).rowcount
