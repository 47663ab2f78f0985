"""Runs one search: starts its trainer, writes down what it says, and publishes what it found.

The rules that make this safe to be killed, frozen or doubled stand in `store.attempts`: every write is fenced by the
attempt, and where this attempt is no longer the current one the trainer is ended and nothing more is said.
"""

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import structlog
from sqlalchemy import Engine

from spec import SearchSpec
from store import searches
from store.artifacts import Artifacts
from store.attempts import Attempt, AttemptLost, NewArtifact
from store.database import read
from store.states import TERMINAL
from worker.job import Folder, Job
from worker.process import TrainerProcess, tail
from worker.progress import AnyMessage, Checkpointed, EpochDone, Failed, Finished, StageBegun, Started
from worker.settings import WorkerSettings

LOOK_S = 0.5  # how often the wishes of users are looked at
DRAIN_S = 20.0  # how long a trainer may take to write its last checkpoint

log = structlog.get_logger()


class Runner:
    """Runs searches for one worker, one at a time or several in threads of their own."""

    def __init__(
        self, engine: Engine, artifacts: Artifacts, settings: WorkerSettings, worker: str, stop: threading.Event
    ) -> None:
        self.engine, self.artifacts, self.settings = engine, artifacts, settings
        self.worker, self.stop = worker, stop

    def run(self, search_id: str, attempt: int) -> None:
        """Run an attempt to its end: succeeded, failed, cancelled, handed back, or lost to another worker."""
        with structlog.contextvars.bound_contextvars(search_id=search_id, attempt=attempt):
            try:
                self._run(Attempt(self.engine, search_id, attempt))
            except AttemptLost as lost:
                log.info("attempt lost", reason=str(lost))

    def _run(self, attempt: Attempt) -> None:
        attempt.start(self.worker)
        log.info("search started")
        with self._heartbeat(attempt) as lost:
            folder = self._prepare(attempt)
            finished = self._train(attempt, folder, lost)
            if finished is not None:
                self._publish(attempt, folder, finished)
        with read(self.engine) as tx:
            over = searches.get(tx, attempt.search_id).state in TERMINAL
        if over:  # handed back, the next attempt goes on from the checkpoints in there
            shutil.rmtree(folder.path.parent)

    def _prepare(self, attempt: Attempt) -> Folder:
        """Make the attempt's folder, with the newest checkpoint of the attempts before it."""
        with read(self.engine) as tx:
            search = searches.get(tx, attempt.search_id)
        runs = self.settings.shared.home / "runs" / attempt.search_id
        folder = Folder(runs / str(attempt.attempt))
        data = self.settings.shared.data
        folder.create(
            Job(
                search_id=search.id,
                created_at=search.created_at,
                spec=SearchSpec.model_validate(search.spec),
                data_root=None if data is None else str(data),
                threads=self.settings.threads,
                checkpoint_s=self.settings.checkpoint_s,
            )
        )
        for earlier in range(attempt.attempt - 1, 0, -1):
            if _copy_checkpoints(Folder(runs / str(earlier)), folder):
                break
        return folder

    def _train(self, attempt: Attempt, folder: Folder, lost: threading.Event) -> Finished | None:
        """Run trainers until one has finished; None where the search has ended in another way."""
        attempt.running()
        while True:
            trainer = TrainerProcess(folder, self.settings.threads)
            log.info("trainer started", pid=trainer.pid)
            try:
                end = self._follow(attempt, trainer, lost)
                status = trainer.status() if end == "died" else ""
            finally:
                trainer.close()
            if end == "over":
                return None
            if end != "died":
                return end
            log.warning("trainer died", status=status)
            if attempt.trainer_died(reason=f"{status}: {tail(folder.log)}"[:500]):
                attempt.fail(
                    "trainer_died",
                    f"the training process ended ({status}) three times without getting further; most likely it ran "
                    "out of memory: make the superstructure or the batch smaller, or give the worker more",
                )
                return None

    def _follow(
        self, attempt: Attempt, trainer: TrainerProcess, lost: threading.Event
    ) -> Finished | Literal["over", "died"]:
        """Write down what a trainer says, and keep to what users wish, until it or the search is over.

        Raises AttemptLost where another worker has the search.
        """
        looked = 0.0
        while not trainer.ended():
            message = trainer.next(timeout=0.1)
            if isinstance(message, Finished):
                return message
            if isinstance(message, Failed):
                log.info("search failed", code=message.code)
                attempt.fail(message.code, message.message)
                return "over"
            if message is not None:
                self._record(attempt, message)
            if self.stop.is_set():
                trainer.stop(DRAIN_S)
                attempt.hand_back()
                log.info("search handed back")
                return "over"
            if time.monotonic() - looked >= LOOK_S or lost.is_set():
                looked = time.monotonic()
                if attempt.cancel_requested():
                    trainer.kill()
                    attempt.cancelled()
                    log.info("search cancelled")
                    return "over"
        return "died"

    def _record(self, attempt: Attempt, message: AnyMessage) -> None:
        match message:
            case Started():
                attempt.event("started", message.model_dump(exclude={"kind"}))
            case StageBegun():
                attempt.progress(stage=message.stage, epoch=0, epochs=message.epochs)
                attempt.event("stage", message.model_dump(exclude={"kind"}))
            case Checkpointed():
                attempt.record_checkpoint(message.stage, message.epoch)
            case EpochDone():
                with read(self.engine) as tx:
                    plan = searches.get(tx, attempt.search_id).layers
                attempt.record_epoch(
                    active=[message.counts.get(layer["name"], layer["width"]) for layer in plan],
                    **message.model_dump(exclude={"kind", "counts"}),
                )

    def _publish(self, attempt: Attempt, folder: Folder, finished: Finished) -> None:
        published = [
            NewArtifact(
                file.name,
                self.artifacts.put(attempt.search_id, attempt.attempt, folder.results / file.name),
                file.media_type,
            )
            for file in finished.files
        ]
        if attempt.publish(finished.result, published, bundle=finished.bundle):
            log.info("search succeeded", bundle=finished.bundle)

    @contextlib.contextmanager
    def _heartbeat(self, attempt: Attempt) -> Iterator[threading.Event]:
        """Be heard of while the block runs; the event is set when the attempt is lost."""
        done, lost = threading.Event(), threading.Event()

        def beat() -> None:
            while not done.wait(self.settings.heartbeat_s):
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


def _copy_checkpoints(source: Folder, target: Folder) -> bool:
    """Copy the checkpoints of an earlier attempt; False where it left none on this machine."""
    files = sorted(Path(source.checkpoints).glob("checkpoint*.safetensors"))
    for file in files:
        shutil.copyfile(file, target.checkpoints / file.name)
    return bool(files)
