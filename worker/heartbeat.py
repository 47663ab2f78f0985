"""How is a worker heard of? By a thread that writes a sign of life for the attempt it runs."""

import contextlib
import threading
from collections.abc import Iterator

import structlog

from store.attempts import Attempt, AttemptLost

log = structlog.get_logger()


@contextlib.contextmanager
def heartbeat(attempt: Attempt, every_s: float) -> Iterator[threading.Event]:
    """Be heard of while the block runs; the event is set when the attempt is lost."""
    done, lost = threading.Event(), threading.Event()

    def beat() -> None:
        while not done.wait(every_s):
            try:
                attempt.heartbeat()
            except AttemptLost:
                lost.set()
                return
            except Exception:  # the database is away: say so, and try again at the next beat
                log.exception("heartbeat failed")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()
