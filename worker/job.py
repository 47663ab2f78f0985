"""What a trainer is told: one folder an attempt, with the job in it and room for checkpoints and results."""

import os
from pathlib import Path
from typing import Literal

from spec.base import Strict
from spec.search import SearchSpec


class Job(Strict):
    """Everything that a trainer knows. No database, no secret.

    `created_at` is the search's, in Unix seconds; `data_root` the folder of the well-known data sets;
    `data_file` the name of the file in the job's folder that holds the data, where they were uploaded;
    `checkpoint_s` the seconds between checkpoints.
    """

    search_id: str
    created_at: float
    spec: SearchSpec
    data_root: str | None = None
    data_file: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 2
    checkpoint_s: float = 10.0


class Folder:
    """The folder of one attempt; the only thing that the worker and its trainer share besides two pipes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.job = path / "job.json"
        self.checkpoints = path / "checkpoints"
        self.results = path / "results"
        self.log = path / "trainer.log"

    def create(self, job: Job) -> None:
        """Make the folder, and write the job into it."""
        for folder in (self.path, self.checkpoints, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.job, job.model_dump_json(indent=1).encode())

    def read_job(self) -> Job:
        """The job, validated again."""
        return Job.model_validate_json(self.job.read_bytes())


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, finds either the old content or the new, never a part."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make renames within a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
