"""A worker: takes searches from the queue, and looks after those whose worker is gone."""

import threading
from collections.abc import Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from store import queue
from store.artifacts import Artifacts
from store.attempts import Moved, move_from, move_silent
from store.database import connect
from worker.runner import Runner
from worker.settings import WorkerSettings

log = structlog.get_logger()

GRACE_S = 40  # for running searches to be handed back when the worker ends


class Service:
    """One worker process. `worker` must be new at every start; `stop` ends it."""

    def __init__(self, settings: WorkerSettings, worker: str, stop: threading.Event) -> None:
        self.settings, self.worker, self.stop = settings, worker, stop
        self.engine = connect(settings.shared.database_url)
        self.runner = Runner(self.engine, Artifacts(settings.shared.artifacts), settings, worker, stop)

    def run(self, replaces: Sequence[str] = ()) -> None:
        """Serve until told to stop. `replaces` are workers known to be dead: what they had is taken over at once."""
        log.info("worker started", worker=self.worker)
        for dead in replaces:
            _tell(move_from(self.engine, dead))
        threading.Thread(target=self._sweep, daemon=True).start()
        queue.serve(self.settings.shared.database_url, self.worker, "cpu", self.runner.run, self.stop, grace_s=GRACE_S)
        log.info("worker ended", worker=self.worker)

    def _sweep(self) -> None:
        while not self.stop.wait(self.settings.heartbeat_s):
            try:
                _tell(move_silent(self.engine, self.settings.silent_s))
            except SQLAlchemyError:  # the database is away: say so, and look again
                log.exception("sweep failed")


def _tell(moved: list[Moved]) -> None:
    for move in moved:
        log.warning("search moved", search_id=move.search_id, attempt=move.attempt, state=move.state)
