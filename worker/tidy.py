"""What does a worker remove besides its own? Whatever searches that are over have left on its disk and in the store."""

import shutil
import threading
from pathlib import Path

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from store import idempotency, retention
from store.artifacts import Artifacts, StoreUnavailable

log = structlog.get_logger()


def tidy(engine: Engine, artifacts: Artifacts, runs: Path) -> dict[str, int]:
    """Remove it; how many of each. What a colleague on this machine is removing too is no error."""
    return {
        "folders": remove_folders(engine, runs),
        "checkpoints": retention.drop_copies(engine, artifacts),
        "objects": retention.collect(engine, artifacts),
        "keys": idempotency.forget(engine),
    }


def remove_folders(engine: Engine, runs: Path) -> int:
    """Remove the folders of searches that are over or unknown; those that wait, rest or run keep theirs."""
    found = [path.name for path in runs.iterdir() if path.is_dir()] if runs.is_dir() else []
    gone = retention.over(engine, found)
    for name in gone:
        shutil.rmtree(runs / name, ignore_errors=True)
    return len(gone)


def keep_tidy(engine: Engine, artifacts: Artifacts, runs: Path, every_s: float, stop: threading.Event) -> None:
    """Tidy up at intervals until `stop` is set."""
    while not stop.wait(every_s):
        try:
            removed = tidy(engine, artifacts, runs)
        except (SQLAlchemyError, StoreUnavailable, OSError):  # something is away: say so, and try the next time
            log.exception("tidying failed")
            continue
        if any(removed.values()):
            log.info("tidied", **removed)
