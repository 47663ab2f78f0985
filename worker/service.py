"""A worker: takes searches from the queue, and looks after those whose worker is gone."""

import threading
from collections.abc import Sequence

import structlog

from store import queue
from store.artifacts import Artifacts
from store.attempts import move_from
from store.database import connect
from worker.runner import Runner
from worker.settings import WorkerSettings
from worker.sweep import keep_sweeping, tell
from worker.tidy import keep_tidy

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
            tell(move_from(self.engine, dead))
        settings, shared = self.settings, self.settings.shared
        sweep = (self.engine, settings.silent_s, self.stop)
        threading.Thread(target=keep_sweeping, args=sweep, daemon=True).start()
        tidy = (self.engine, self.runner.artifacts, shared.home / "runs", settings.retention_s, self.stop)
        threading.Thread(target=keep_tidy, args=tidy, daemon=True).start()
        queue.serve(shared.database_url, self.worker, settings.queue, self.runner.run, self.stop, grace_s=GRACE_S)
        log.info("worker ended", worker=self.worker)
