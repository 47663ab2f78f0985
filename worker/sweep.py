"""Who moves the searches of dead workers, and when may it not be said that a worker is dead?

Every worker sweeps, and moves what it has itself seen silent for long enough (`store.moves`). When the database was
away nobody could be heard of: so who finds that it was begins to watch anew.
"""

import threading

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from store.attempts import Moved, Watch
from store.database import write

log = structlog.get_logger()


def keep_sweeping(engine: Engine, silent_s: float, stop: threading.Event) -> None:
    """Sweep at intervals until `stop` is set."""
    watch = Watch(engine, silent_s)
    while not stop.wait(silent_s / 5):
        try:
            with write(engine):
                pass  # can anybody write now?
            tell(watch.sweep())
        except SQLAlchemyError:  # the database is away: say so, and look again
            log.exception("sweep failed")
            watch.forget()


def tell(moved: list[Moved]) -> None:
    """Log what was moved."""
    for move in moved:
        log.warning("search moved", search_id=move.search_id, attempt=move.attempt, state=move.state)
