"""What does a worker do while the database or the artifact store is away, or its disk full? It waits, and tries again.

The trainer goes on meanwhile: what it says is kept (`worker.process`) and written down afterwards. Only where the
worker itself is to end, the wait has an end too.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from store.artifacts import StoreUnavailable
from worker.failure import DiskFull

AWAY: Final = (OperationalError, InterfaceError, InternalError, PoolTimeoutError, StoreUnavailable, DiskFull)
RETRY_S: Final = 0.5
T = TypeVar("T")

log = structlog.get_logger()


class Patience:
    """Tries again what fails because something is away; after `stop` was set for at most `grace_s` more seconds."""

    def __init__(self, stop: threading.Event, grace_s: float) -> None:
        self.stop, self.grace_s = stop, grace_s

    def __call__(
        self,
        action: Callable[[], T],
        unless: Callable[[], bool] = lambda: False,
        tell: Callable[[str], object] = lambda reason: None,
    ) -> T:
        """Do `action`, which may be done twice; raises what it raised last where that is `unless` wanted no more.

        `tell` is told once what is waited for, in words for users, if the database can be told anything.
        """
        stopped: float | None = None
        told = False
        while True:
            try:
                return action()
            except AWAY as error:
                if self.stop.is_set() and stopped is None:
                    stopped = time.monotonic()
                if unless() or (stopped is not None and time.monotonic() - stopped > self.grace_s):
                    raise
                if not told:
                    log.warning("waiting for what is away", error=str(error)[:300])
                    with suppress(*AWAY):
                        tell(_reason(error))
                told = True
                time.sleep(RETRY_S)


def _reason(error: Exception) -> str:
    if isinstance(error, DiskFull):
        return error.message
    what = "the artifact store" if isinstance(error, StoreUnavailable) else "the database"
    return f"{what} cannot be used at present; the worker's log says why, and the search goes on when it can"
