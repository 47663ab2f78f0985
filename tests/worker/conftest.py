"""Small searches on real data that come with scikit-learn, one thread each."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from spec import SearchSpec
from worker.job import Folder, Job

SPEC: dict[str, Any] = {
    "superstructure": {"kind": "mlp", "widths": [48, 40, 48]},
    "task": {"kind": "denoise", "sigma": 0.2},
    "data": "digits",
    "method": {"lr": 0.003, "density": 0.1},
    "budget": {"epochs": 6, "batch_size": 64},
    "finetune": {"epochs": 3},
    "compare": ["linear", "flat", "scratch"],
    "seed": 3,
}
SEARCH_ID = "srch_" + "0" * 31 + "7"


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_folder(tmp_path):
    """A folder with a job in it; keyword arguments change the specification."""

    def make(name: str = "1", checkpoint_s: float = 1e6, **changes: Any) -> Folder:
        folder = Folder(tmp_path / name)
        spec = SearchSpec.model_validate({**SPEC, **changes})
        folder.create(Job(search_id=SEARCH_ID, created_at=1.7e9, spec=spec, threads=1, checkpoint_s=checkpoint_s))
        return folder

    return make


def start(folder: Folder) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "worker.trainer", str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=folder.log.open("ab"),
    )


def lines(process: "subprocess.Popen[bytes]"):
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def run(folder: Folder) -> list[dict[str, Any]]:
    """Run a trainer to its end and return what it said."""
    process = start(folder)
    said = list(lines(process))
    assert process.wait() == 0, folder.log.read_text()
    return said


def results(folder: Folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder.results).iterdir())}
