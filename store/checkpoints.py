"""From where does a search go on?

From the newest checkpoint on the disk of the machine that had it, or from the newest copy in the artifact store. A
search has one copy at a time: who records a newer one replaces the older, whichever attempt made it.
"""

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from store import tables
from store.database import read


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest checkpoint of a search, whichever attempt wrote it."""

    attempt: int
    stage: str
    epoch: int
    key: str | None
    """Of the copy in the artifact store, which may be a little older than the checkpoint itself."""


def last_checkpoint(engine: Engine, search_id: str) -> Checkpoint | None:
    """Give the newest checkpoint of a search; None where there is none yet."""
    s, a = tables.searches, tables.attempts
    of_it = (s.c.id == search_id, a.c.checkpoint_stage.is_not(None))
    joined = a.join(s, s.c.number == a.c.search)
    with read(engine) as tx:
        key = tx.scalar(select(func.max(a.c.checkpoint_key)).select_from(joined).where(*of_it))
        row = tx.execute(
            select(a.c.attempt, a.c.checkpoint_stage, a.c.checkpoint_epoch)
            .select_from(joined)
            .where(*of_it)
            .order_by(a.c.attempt.desc())
            .limit(1)
        ).one_or_none()
    return None if row is None else Checkpoint(*row, key)
