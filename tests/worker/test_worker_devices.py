"""A worker's device reaches its trainer, and a worker without that device does not start."""

import subprocess
import sys
import threading

import pytest
import torch

from spec import SearchSpec
from store import searches
from store.artifacts import Artifacts
from store.attempts import Attempt
from store.database import write
from store.layers import Layer
from store.settings import Settings
from worker import devices
from worker.runner import Runner
from worker.settings import WorkerSettings

from .conftest import SPEC


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_trainer_is_told_the_device_of_the_queue(engine, database_url, tmp_path, device):
    artifacts = tmp_path / "artifacts"
    settings = WorkerSettings(Settings(tmp_path, None, database_url, str(artifacts)), queue=device)
    spec = SearchSpec.model_validate({**SPEC, "device": device}).model_dump(mode="json")
    named = {"superstructure": "mlp", "task": "denoise", "data": "digits", "seed": 1, "queue": device}
    with write(engine) as tx:
        made = searches.create(tx, name=None, spec=spec, metadata={}, layers=[Layer("a", 1)], **named)
    runner = Runner(engine, Artifacts(artifacts), settings, "w", threading.Event())

    job = runner._prepare(Attempt(engine, made.id, 1)).read_job()

    assert (job.device, job.spec.device) == (device, device)


def test_a_worker_for_cpus_asks_nothing():
    devices.check("cpu")


def test_a_worker_for_gpus_starts_where_there_is_one_alone():
    command = [sys.executable, "-m", "bregnas.cli", "worker", "--queue", "cuda", "--until-stdin-closes"]
    if torch.cuda.is_available():
        devices.check("cuda")
        return
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False)

    assert done.returncode == 2
    assert "no CUDA device" in done.stderr
    assert "Traceback" not in done.stderr
