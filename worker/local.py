"""A search here and now, without a service: an entry point of the group `bregnas.local` (see `bregnas/verbs/local.py`).

It uses the trainer that the worker uses, in a folder that the user names; run again with the same search and the same
data it goes on from the last checkpoint in there. The results are the files that a service would publish.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import datasets
from datasets import Description, checking, upload
from spec import Plan, SearchSpec, SpecError, plan
from store.settings import data_folder, whole
from worker import devices
from worker.failure import DiskFull
from worker.job import Folder, Job, write_atomically
from worker.process import TrainerProcess, tail
from worker.progress import AnyMessage, EpochDone, Failed, Finished, StageBegun

Tell = Callable[[dict[str, Any]], None]

DATA = "data.npz"
_DRAIN_S = 30.0
_MOST_THREADS = 1024


def run(body: dict[str, Any], data: Path | None, folder: Path, tell: Tell) -> dict[str, Any]:
    """Run the search that `body` specifies, on the file `data` where there is one, and return it as it ended.

    Results are in `folder/results`, the search in `folder/search.json`. Raises SpecError, which names the field, where
    it cannot be run here, and KeyboardInterrupt, after a last checkpoint, where it is interrupted.
    """
    spec = SearchSpec.model_validate_json(json.dumps(body))
    if spec.start is not None:
        raise SpecError(("start",), "a search that begins on another's path needs the service that has it")
    try:
        root = data_folder()
        devices.check(spec.device or "cpu")
    except ValueError as error:
        raise SpecError(("device",) if spec.device == "cuda" else ("data",), str(error)) from error
    name = hashlib.sha256(spec.model_dump_json().encode() + (b"" if data is None else _digest(data))).hexdigest()[:32]
    place = _place(folder, f"local_{name}")
    described = _described(spec, data, place, root)
    found = _planned(spec, described)
    if not place.job.exists():
        place.create(
            Job(
                search_id=f"local_{name}",
                created_at=time.time(),
                spec=spec,
                data_root=None if root is None else str(root),
                data_file=None if data is None else DATA,
                device=spec.device or "cpu",
                threads=whole("BREGNAS_THREADS", 2, _MOST_THREADS),
            )
        )
    return _train(place, _document(place.read_job(), found), tell)


def _described(spec: SearchSpec, data: Path | None, place: Folder, root: Path | None) -> Description:
    """What the data hold; a file is checked as an upload is, and kept in the folder. Raises SpecError."""
    try:
        if data is None:
            return datasets.describe(spec.data, root)
        if not (place.path / DATA).exists():
            received = place.path / "upload"
            shutil.copyfile(data, received)
            try:
                checking.check(place.path)
            finally:
                received.unlink()
        return upload.load(place.path / DATA, spec.data).description("a file of this machine")
    except datasets.DataError as error:
        raise SpecError(("data",), str(error)) from error


def _place(folder: Path, search_id: str) -> Folder:
    """The folder, new or of the same search."""
    place = Folder(folder.resolve())
    if place.job.exists():
        if place.read_job().search_id != search_id:
            raise SpecError((), f"{folder} holds another search; name another folder with --folder, or remove it")
    elif place.path.exists() and any(path.name not in (DATA, "report.json") for path in place.path.iterdir()):
        raise SpecError((), f"{folder} is there and holds no search; name another folder with --folder")
    place.path.mkdir(parents=True, exist_ok=True)
    if not place.job.exists():
        (place.path / DATA).unlink(missing_ok=True)  # of a search that was refused, perhaps on other data
    return place


def _planned(spec: SearchSpec, described: Description) -> Plan:
    return plan(spec, described.as_planned(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _train(place: Folder, search: dict[str, Any], tell: Tell) -> dict[str, Any]:
    trainer = TrainerProcess(place, place.read_job().threads)
    tell(search)
    try:
        while not trainer.ended():
            message = trainer.next(timeout=0.1)
            if message is not None:
                _heed(search, message)
                tell(search)
    except KeyboardInterrupt:
        trainer.stop(_DRAIN_S)
        raise
    finally:
        trainer.close()
    if search["status"] == "running":
        said = f"the training process ended ({trainer.status()}); the end of its log: {tail(place.log)}"
        search |= {"status": "failed", "error": {"code": "trainer_died", "message": said}}
    search["finished_at"] = datetime.now(UTC).isoformat()
    write_atomically(place.path / "search.json", json.dumps(search, indent=1).encode())
    return search


def _heed(search: dict[str, Any], message: AnyMessage) -> None:
    match message:
        case StageBegun():
            search["progress"] = {"stage": message.stage, "epoch": 0, "epochs": message.epochs, "eta_s": None}
        case EpochDone():
            search["progress"] = {name: getattr(message, name) for name in ("stage", "epoch", "epochs", "eta_s")}
            search["losses"] = {"train": message.train_loss, "validation": message.validation_loss}
            search |= {"parameters": message.parameters, "macs": message.macs, "metrics": message.metrics}
            for layer in search["layers"]:
                layer["active"] = message.counts.get(layer["name"], layer["width"])
        case Finished():
            search |= {"status": "succeeded", "result": message.result}
        case Failed(code=DiskFull.CODE):
            said = "the disk is full; make room, and give the same command again"
            search |= {"status": "failed", "error": {"code": message.code, "message": said}}
        case Failed():
            search |= {"status": "failed", "error": {"code": message.code, "message": message.message}}


def _document(job: Job, found: Plan) -> dict[str, Any]:
    """The search as the API would show it before its first epoch."""
    return {
        "id": job.search_id,
        "name": job.spec.name,
        "status": "running",
        "spec": job.spec.model_dump(mode="json"),
        "progress": {"stage": None, "epoch": None, "epochs": None, "eta_s": None},
        "layers": [{"name": node.name, "width": node.width, "active": None} for node in found.graph.layers()],
        "parameters": found.parameters,
        "macs": found.macs,
        "metadata": job.spec.metadata,
        "created_at": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
    }


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
