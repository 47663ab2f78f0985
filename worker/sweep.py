"""Who moves the searches of dead workers, and when may it not be said that a worker is dead?

Every worker sweeps. When the database was away nobody could be heard of: so who finds that it was, or has just begun,
waits until the living have had the time to be heard of again.
"""

import threading
import time

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from store.attempts import Moved, move_silent
from store.database import write

log = structlog.get_logger()


def keep_sweeping(engine: Engine, every_s: float, silent_s: float, stop: threading.Event) -> None:
    """Sweep at intervals until `stop` is set."""
    held_until = time.monotonic() + 2 * every_s
    while not stop.wait(every_s):
        began = time.monotonic()
        try:
            with write(engine):
                pass  # can anybody write now?
            if time.monotonic() - began > every_s:
                held_until = time.monotonic() + 2 * every_s
            if time.monotonic() >= held_until:
                tell(move_silent(engine, silent_s))
        except SQLAlchemyError:  # the database is away: say so, and look again
            log.exception("sweep failed")
            held_until = time.monotonic() + 2 * every_s


def tell(moved: list[Moved]) -> None:
    """Log what was moved."""
    for move in moved:
        log.warning("search moved", search_id=move.search_id, attempt=move.attempt, state=move.state)
