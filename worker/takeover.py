"""From where does an attempt go on? From the furthest checkpoint that its machine or the artifact store has."""

import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import structlog

from store.artifacts import ArtifactMissing, Artifacts
from store.attempts import Attempt
from worker.job import Folder, fsync_folder
from worker.snapshot import NAMES, Position, is_whole, position, position_of

log = structlog.get_logger()


def take_over(attempt: Attempt, folder: Folder, artifacts: Artifacts) -> None:
    """Bring the furthest checkpoint of the attempts before this one into its folder, and the one before that."""
    found = list(islice(_whole(folder.path.parent, attempt.attempt), len(NAMES)))
    known = attempt.last_checkpoint()
    if known is not None and known.key and (not found or found[0][0] < position_of(known.stage, known.epoch)):
        fetched = folder.checkpoints / ".fetched"
        try:
            artifacts.fetch(known.key, fetched)
        except ArtifactMissing as error:
            log.warning("checkpoint copy is gone", error=str(error))
        if (at := position(fetched)) is not None and is_whole(fetched) and (not found or at > found[0][0]):
            log.info("goes on from a copy", position=at)
            found = [(at, fetched), *found]
    for (_, source), name in zip(found, NAMES, strict=False):
        _link(source, folder.checkpoints / name)
    (folder.checkpoints / ".fetched").unlink(missing_ok=True)
    fsync_folder(folder.checkpoints)


def _whole(runs: Path, attempt: int) -> Iterator[tuple[Position, Path]]:
    """The checkpoints of earlier attempts on this machine that are whole, the furthest and newest first."""
    found = []
    for earlier in range(1, attempt):
        for name in NAMES:
            path = Folder(runs / str(earlier)).checkpoints / name
            if (at := position(path)) is not None:
                found.append((at, earlier, path))
    for at, _, path in sorted(found, reverse=True):
        if is_whole(path):
            yield at, path
        else:
            log.warning("checkpoint is damaged", path=str(path))


def _link(source: Path, target: Path) -> None:
    """Share a file that nobody changes; copy it where the file system has no links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
