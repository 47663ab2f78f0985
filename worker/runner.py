"""Runs one search: starts its trainer, writes down what it says, and publishes what it found.

The rules that make this safe to be killed, frozen or doubled stand in `store.attempts`: every write is fenced by the
attempt, and where this attempt is no longer the current one the trainer is ended and nothing more is said. While the
database or the artifact store is away the trainer goes on, and what it says is written down later (`worker.patience`).
"""

import shutil
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Literal, TypeVar

import structlog
from sqlalchemy import Engine

from spec import SearchSpec
from store import searches
from store.artifacts import Artifacts, Stored
from store.attempts import Attempt, AttemptLost, NewArtifact
from store.database import read
from store.states import TERMINAL
from worker.copies import Copies
from worker.data import fetch, fetch_start, file_of
from worker.failure import DiskFull, needs_room
from worker.heartbeat import heartbeat
from worker.job import Folder, Job
from worker.patience import AWAY, Patience
from worker.process import TrainerProcess, tail
from worker.progress import AnyMessage, Checkpointed, EpochDone, Failed, File, Finished, Previewed, StageBegun, Started
from worker.settings import WorkerSettings
from worker.takeover import take_over

LOOK_S = 0.5  # how often the wishes of users are looked at
DRAIN_S = 12.0  # how long a trainer may take to write its last checkpoint

ROOM_S = 2.0  # how often a full disk is looked at

End = Finished | Literal["over", "died", "full"]

T = TypeVar("T")

log = structlog.get_logger()


class Runner:
    """Runs searches for one worker, one at a time or several in threads of their own."""

    def __init__(
        self, engine: Engine, artifacts: Artifacts, settings: WorkerSettings, worker: str, stop: threading.Event
    ) -> None:
        self.engine, self.artifacts, self.settings = engine, artifacts, settings
        self.worker, self.stop = worker, stop
        self.patiently = Patience(stop, DRAIN_S)

    def run(self, search_id: str, attempt: int) -> None:
        """Run an attempt to its end: succeeded, failed, cancelled, paused, handed back, or lost to another worker."""
        with structlog.contextvars.bound_contextvars(search_id=search_id, attempt=attempt):
            mine = Attempt(self.engine, search_id, attempt)
            try:
                try:
                    self._run(mine)
                except AWAY:
                    if not self.stop.is_set():
                        raise
                    mine.hand_back()  # what it waited for may be there on another machine
            except AttemptLost as lost:
                log.info("attempt lost", reason=str(lost))

    def _start(self, attempt: Attempt) -> None:
        """Take the search, where need be when the database is back."""
        tries = count()

        def start() -> None:
            again = next(tries) > 0
            try:
                attempt.start(self.worker)
            except AttemptLost as lost:
                if not (again and lost.has_worker):  # the queue gave it to nobody else: the call before came through
                    raise

        self.patiently(start)

    def _run(self, attempt: Attempt) -> None:
        self._start(attempt)
        if self.stop.is_set():  # taken from the queue in the moment of the end
            attempt.hand_back()
            return
        log.info("search started")
        with heartbeat(attempt, self.settings.heartbeat_s) as lost:
            folder = self._unless_wished(attempt, lambda: self._prepare(attempt))
            if folder is None:
                return
            with Copies(attempt, folder, self.artifacts, self.settings.copy_s) as copies:
                finished = self._train(attempt, folder, copies, lost)
            if finished is not None:
                self._publish(attempt, folder, finished)
        if self.patiently(lambda: self._is_over(attempt)):
            shutil.rmtree(folder.path.parent)  # else the next attempt goes on from the checkpoints in there

    def _unless_wished(self, attempt: Attempt, action: Callable[[], T]) -> T | None:
        """Do what may have to wait for a disk or a store; None where its user ended the search meanwhile.

        Raises AttemptLost where another worker has the search.
        """
        try:
            return self.patiently(
                action,
                unless=lambda: self.patiently(attempt.wish) is not None,
                tell=lambda reason: attempt.event("waiting", {"reason": reason}),
            )
        except AWAY:
            if self._fulfilled(attempt):
                return None
            raise

    def _is_over(self, attempt: Attempt) -> bool:
        with read(self.engine) as tx:
            return searches.get(tx, attempt.search_id).state in TERMINAL

    def _prepare(self, attempt: Attempt) -> Folder:
        """Make the attempt's folder, with the newest checkpoint of the attempts before it."""
        with read(self.engine) as tx:
            search = searches.get(tx, attempt.search_id)
        with needs_room():
            return self._fill(attempt, search)

    def _fill(self, attempt: Attempt, search: searches.Search) -> Folder:
        folder = Folder(self.settings.shared.home / "runs" / attempt.search_id / str(attempt.attempt))
        data = self.settings.shared.data
        folder.create(
            Job(
                search_id=search.id,
                created_at=search.created_at,
                spec=SearchSpec.model_validate(search.spec),
                data_root=None if data is None else str(data),
                data_file=file_of(search.data),
                device="cuda" if self.settings.queue == "cuda" else "cpu",
                threads=self.settings.threads,
                checkpoint_s=self.settings.checkpoint_s,
            )
        )
        fetch(search.data, folder, self.engine, self.artifacts)
        if (start := folder.read_job().spec.start) is not None:
            fetch_start(start, folder, self.engine, self.artifacts)
        take_over(attempt, folder, self.artifacts)
        return folder

    def _train(self, attempt: Attempt, folder: Folder, copies: Copies, lost: threading.Event) -> Finished | None:
        """Run trainers until one has finished; None where the search has ended in another way."""
        try:
            self.patiently(attempt.running)
        except AttemptLost as error:
            if not error.has_worker:
                raise
            if error.state != "running" and self._fulfilled(attempt):  # wished before anything began
                return None
        limit_s = folder.read_job().spec.budget.time_limit_s
        while True:
            trainer = self.patiently(lambda: self._trainer(folder))
            log.info("trainer started", pid=trainer.pid)
            try:
                end = self._follow(attempt, trainer, copies, lost, limit_s)
                status = trainer.status() if end == "died" else ""
            except AWAY:  # and this worker is to end: whoever goes on later finds a checkpoint
                trainer.stop(DRAIN_S)
                raise
            finally:
                trainer.close()
            if end == "full":
                end = "over" if self._has_ended_without_room(attempt, folder) else end
            if end == "over":
                return None
            if isinstance(end, Finished):
                return end
            if end == "full":
                continue
            log.warning("trainer died", status=status)
            reason = f"{status}: {tail(folder.log)}"[:500]
            if self.patiently(lambda reason=reason: attempt.trainer_died(reason=reason)):  # type: ignore[misc]
                self._fail(
                    attempt,
                    "trainer_died",
                    f"the training process ended ({status}) three times without getting further; most likely it ran "
                    "out of memory: make the superstructure or the batch smaller, or give the worker more",
                )
                return None

    def _trainer(self, folder: Folder) -> TrainerProcess:
        with needs_room():
            return TrainerProcess(folder, self.settings.threads)

    def _has_ended_without_room(self, attempt: Attempt, folder: Folder) -> bool:
        """Wait until the disk has room for two checkpoints more; whether the search has ended before that."""
        log.warning("the disk is full", folder=str(folder.path))
        self.patiently(lambda: attempt.event("waiting", {"reason": DiskFull().message}))
        needed = 2 * max((path.stat().st_size for path in folder.checkpoints.iterdir()), default=0) + 1
        while True:
            if self.stop.wait(ROOM_S):
                self.patiently(attempt.hand_back)
                return True
            if self._fulfilled(attempt):
                return True
            if shutil.disk_usage(folder.path).free >= needed:
                log.info("the disk has room again")
                return False

    def _follow(
        self, attempt: Attempt, trainer: TrainerProcess, copies: Copies, lost: threading.Event, limit_s: float
    ) -> End:
        """Write down what a trainer says, and keep to what users wish, until it or the search is over.

        Raises AttemptLost where another worker has the search.
        """
        began = heard = time.monotonic()
        looked = 0.0
        while not trainer.ended():
            message = trainer.next(timeout=0.1)
            if message is not None:
                heard = time.monotonic()
                if end := self._heed(attempt, copies, message):
                    return end
            if self.stop.is_set():
                if (end := self._wind_up(attempt, trainer, copies)) and end != "full":
                    return end
                self.patiently(attempt.hand_back)
                log.info("search handed back")
                return "over"
            if time.monotonic() - looked >= LOOK_S or lost.is_set():
                looked = time.monotonic()
                wish = self.patiently(attempt.wish)
                if wish == "pausing" and (end := self._wind_up(attempt, trainer, copies)) and end != "full":
                    return end  # with a full disk the checkpoint before has to do
                if wish is not None:
                    trainer.kill()
                    self._fulfilled(attempt)
                    return "over"
            now, patience = time.monotonic(), self.settings.hang_s
            if now - began > limit_s + patience and now - heard > patience:
                trainer.kill()
                self._fail(
                    attempt,
                    "time_limit",
                    f"the training process was silent for {patience:g} s after its time limit of {limit_s:g} s, and "
                    "was ended; raise budget.time_limit_s, or look at what holds the worker's machine",
                )
                return "over"
        return "died"

    def _heed(self, attempt: Attempt, copies: Copies, message: AnyMessage) -> End | None:
        """Do what a message asks for; what the search ends with, if it does."""
        if isinstance(message, Finished):
            return message
        if isinstance(message, Failed) and message.code == DiskFull.CODE:
            return "full"
        if isinstance(message, Failed):
            log.info("search failed", code=message.code)
            self._fail(attempt, message.code, message.message)
            return "over"
        self.patiently(lambda: self._record(attempt, message))
        if isinstance(message, StageBegun):
            copies.soon()
        return None

    def _wind_up(self, attempt: Attempt, trainer: TrainerProcess, copies: Copies) -> End | None:
        """Let the trainer write its last checkpoint, and copy it; what it ended with, if it was faster."""
        trainer.stop(DRAIN_S)
        while not trainer.ended():
            message = trainer.next(timeout=0.1)
            if message is not None and (end := self._heed(attempt, copies, message)):
                return end
        copies.now()
        return None

    def _fulfilled(self, attempt: Attempt) -> bool:
        """End the search as its user wishes, the trainer being gone; False where nothing is wished."""
        wish = self.patiently(attempt.wish)
        if wish == "pausing":
            self.patiently(attempt.paused)
        elif wish == "cancelling":
            self.patiently(attempt.cancelled)
        if wish is not None:
            log.info("wish fulfilled", wish=wish)
        return wish is not None

    def _fail(self, attempt: Attempt, code: str, message: str) -> None:
        self.patiently(lambda: attempt.fail(code, message))

    def _record(self, attempt: Attempt, message: AnyMessage) -> None:
        match message:
            case Started():
                attempt.event("started", message.model_dump(exclude={"kind"}))
            case StageBegun():
                attempt.progress(stage=message.stage, epoch=0, epochs=message.epochs)
                attempt.event("stage", message.model_dump(exclude={"kind"}))
            case Previewed():
                attempt.event(message.kind, message.model_dump(exclude={"kind"}))
            case Checkpointed():
                attempt.record_checkpoint(message.stage, message.epoch, step=message.step)
            case EpochDone():
                with read(self.engine) as tx:
                    plan = searches.get(tx, attempt.search_id).layers
                attempt.record_epoch(
                    active=[message.counts.get(layer["name"], layer["width"]) for layer in plan],
                    **message.model_dump(exclude={"kind", "counts", "seed", "trial", "share"}),
                )

    def _publish(self, attempt: Attempt, folder: Folder, finished: Finished) -> None:
        def put(file: File) -> Stored:
            return self.artifacts.put(attempt.search_id, attempt.attempt, folder.results / file.name)

        published = []
        for file in finished.files:
            stored = self._unless_wished(attempt, lambda file=file: put(file))  # type: ignore[misc]
            if stored is None:
                return
            published.append(NewArtifact(file.name, stored, file.media_type))
        if self.patiently(lambda: attempt.publish(finished.result, published, bundle=finished.bundle)):
            log.info("search succeeded", bundle=finished.bundle)
