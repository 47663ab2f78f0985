"""How does an uploaded file become a data set? Received, checked by a process of its own, stored, and only then named.

Each upload has a folder of its own in BREGNAS_HOME/uploads, locked while it is worked on, and removed whatever
happens; what a killed process left behind is removed when the next one starts. An object whose row was never written
is removed by the workers' tidying (`store.retention`).
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError

from app.form import FIELD, Received
from app.problems import Refusal, unavailable
from app.service import Service
from datasets import DataInvalid
from datasets.checking import check
from store import datasets
from store.artifacts import StoreUnavailable
from store.database import read, write

FILE: Final = "upload"
CHECKED: Final = "data.npz"
_LOCK: Final = "lock"

_log = structlog.get_logger("app")


@contextmanager
def folder(service: Service) -> Iterator[Path]:
    """A folder for one upload, gone afterwards. A full disk is answered with 503."""
    try:
        root = _root(service)
        root.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=root))
        try:
            with (made / _LOCK).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        _log.error("upload_failed", error=str(error))
        raise unavailable("disk_unavailable", "the file cannot be kept here at present; nothing was stored") from error


def known(service: Service, tenant: str, received: Received) -> datasets.Dataset | None:
    """The set that this tenant made of the same file before."""
    with read(service.engine) as tx:
        return datasets.same_file(tx, received.sha256, tenant=tenant)


def register(service: Service, tenant: str, received: Received, place: Path) -> tuple[datasets.Dataset, bool]:
    """Check what was received in `place` and make it a data set; False where another request was faster."""
    try:
        checked = check(place)
    except DataInvalid as error:
        raise Refusal(422, "dataset_invalid", str(error), errors=[((FIELD,), str(error))]) from error
    dataset_id = datasets.id_for_upload()
    stored = service.artifacts.put_dataset(dataset_id, place / CHECKED)
    try:
        with write(service.engine) as tx:
            made = datasets.create(
                tx,
                dataset_id=dataset_id,
                name=received.name,
                sha256=received.sha256,
                key=stored.key,
                size=stored.size,
                format=checked.format,
                fingerprint=checked.fingerprint,
                description=checked.description,
                tenant=tenant,
            )
    except IntegrityError:
        service.artifacts.delete([stored.key])
        with read(service.engine) as tx:
            found = datasets.same_file(tx, received.sha256, tenant=tenant)
        if found is None:
            raise
        return found, False
    except BaseException:
        with suppress(StoreUnavailable):
            service.artifacts.delete([stored.key])
        raise
    _log.info("dataset_made", dataset_id=made.id, format=made.format, size=made.size, peak_bytes=checked.peak_bytes)
    return made, True


def tidy(service: Service) -> None:
    """Remove what killed processes left on this disk: folders that nobody has locked."""
    root = _root(service)
    for left in root.iterdir() if root.is_dir() else ():
        if not _is_locked(left / _LOCK):
            shutil.rmtree(left, ignore_errors=True)


def _root(service: Service) -> Path:
    return service.settings.store.home / "uploads"


def _is_locked(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
