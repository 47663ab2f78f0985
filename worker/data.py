"""From where does an attempt have its data? What was uploaded is copied from the artifact store into its folder."""

import structlog
from sqlalchemy import Engine

from spec.search import PathStart
from store import datasets, searches
from store.artifacts import ArtifactMissing, Artifacts
from store.database import read
from store.errors import NotFound
from worker.job import Folder

DATA = "data.npz"
START = "start.safetensors"

log = structlog.get_logger()


def file_of(data: str) -> str | None:
    """The name in the attempt's folder of an uploaded set; None for a set of the catalogue."""
    return DATA if datasets.is_dataset_id(data) else None


def fetch(data: str, folder: Folder, engine: Engine, artifacts: Artifacts) -> None:
    """Bring an uploaded set into the folder; where it is gone nothing is there, which the trainer says in words."""
    if (name := file_of(data)) is None:
        return
    try:
        with read(engine) as tx:
            key = datasets.get(tx, data, tenant=None).key
        artifacts.fetch(key, folder.path / name)
    except (NotFound, ArtifactMissing) as error:
        log.warning("data set is gone", error=str(error))


def fetch_start(start: PathStart, folder: Folder, engine: Engine, artifacts: Artifacts) -> None:
    """Bring the network with which a search begins into the folder; the trainer says in words where it is gone."""
    try:
        with read(engine) as tx:
            key = searches.artifact(tx, start.search, f"path-{start.k}.safetensors", tenant=None).key
        artifacts.fetch(key, folder.path / START)
    except (NotFound, ArtifactMissing) as error:
        log.warning("start is gone", error=str(error))
