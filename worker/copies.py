"""How does a search survive its machine? Its newest checkpoint is copied to the artifact store at intervals.

By a thread of its own, so that neither progress nor a user's wish waits for a slow store. What is copied is a link to
the file, which nobody changes: a newer checkpoint takes the name, and leaves the file as it is. The key is recorded
when the copy lies in the store; only then the older copy is deleted.
"""

import contextlib
import os
import threading
from types import TracebackType
from typing import Self

import structlog

from store.artifacts import Artifacts
from store.attempts import Attempt, AttemptLost
from worker.job import Folder
from worker.patience import AWAY
from worker.snapshot import NAMES, position, stage_of

log = structlog.get_logger()


class Copies:
    """Copies the checkpoints of an attempt while the block runs: every `every_s` seconds, if there is a new one."""

    def __init__(self, attempt: Attempt, folder: Folder, artifacts: Artifacts, every_s: float) -> None:
        self.attempt, self.folder, self.artifacts, self.every_s = attempt, folder, artifacts, every_s
        self._wake, self._done, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._copied: tuple[int, int] | None = None  # inode and time of the file that was copied last
        self._thread = threading.Thread(target=self._run, name="copies", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._wake.set()  # not joined: a store that hangs must not hold the worker

    def soon(self) -> None:
        """Let the thread copy without waiting for its interval."""
        self._wake.set()

    def now(self) -> None:
        """Copy the newest checkpoint before this returns, unless that fails: then the log says why."""
        with self._lock, contextlib.suppress(AttemptLost):
            try:
                self._copy()
            except (*AWAY, OSError) as error:
                log.warning("checkpoint not copied", error=str(error)[:300])

    def _run(self) -> None:
        while True:
            self._wake.wait(self.every_s)
            self._wake.clear()
            if self._done.is_set():
                return
            self.now()

    def _copy(self) -> None:
        source, link = self.folder.checkpoints / NAMES[0], self.folder.checkpoints / ".copy"
        link.unlink(missing_ok=True)
        try:
            os.link(source, link)
        except FileNotFoundError:
            return  # there is none yet, or it is being replaced in this moment
        try:
            status, found = link.stat(), position(link)
            identity = (status.st_ino, status.st_mtime_ns)
            if found is None or identity == self._copied:
                return
            stored = self.artifacts.put(self.attempt.search_id, self.attempt.attempt, link)
            replaced = self.attempt.record_checkpoint(stage_of(found), found[1], stored.key)
            self._copied = identity
            self.artifacts.delete(replaced)
        finally:
            link.unlink(missing_ok=True)
