"""From where does an attempt go on? From the furthest checkpoint that its machine or the artifact store has."""

import os
import shutil
from pathlib import Path

import structlog

from store.artifacts import ArtifactMissing, Artifacts
from store.attempts import Attempt
from worker.job import Folder, fsync_folder
from worker.snapshot import NAMES, Position, position, position_of

log = structlog.get_logger()


def take_over(attempt: Attempt, folder: Folder, artifacts: Artifacts) -> None:
    """Bring the furthest checkpoint of the attempts before this one into its folder, if there is any."""
    local, source = _furthest(folder.path.parent, attempt.attempt)
    known = attempt.last_checkpoint()
    if known is not None and known.key and (local is None or local < position_of(known.stage, known.epoch)):
        fetched = folder.checkpoints / ".fetched"
        try:
            artifacts.fetch(known.key, fetched)
        except ArtifactMissing as error:
            log.warning("checkpoint copy is gone", error=str(error))
        found = position(fetched)
        if found is not None and (local is None or found > local):
            fetched.replace(folder.checkpoints / NAMES[0])
            log.info("goes on from a copy", position=found)
            source = None
        fetched.unlink(missing_ok=True)
    if source is not None:
        for name in NAMES:
            _link(source.checkpoints / name, folder.checkpoints / name)
    fsync_folder(folder.checkpoints)


def _furthest(runs: Path, attempt: int) -> tuple[Position | None, Folder | None]:
    """The furthest whole checkpoint of earlier attempts on this machine, and its folder."""
    best: tuple[Position, int] | None = None
    for earlier in range(1, attempt):
        for name in NAMES:
            found = position(Folder(runs / str(earlier)).checkpoints / name)
            if found is not None and (best is None or (found, earlier) > best):
                best = found, earlier
    return (None, None) if best is None else (best[0], Folder(runs / str(best[1])))


def _link(source: Path, target: Path) -> None:
    """Share a file that nobody changes; copy it where the file system has no links."""
    if not source.exists():
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
