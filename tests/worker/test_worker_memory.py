"""The memory estimate is an upper one: measured on a trainer of its own, every neuron awake to the end."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from datasets import load
from spec import DataShape, plan

SCRIPT = """
import pathlib, runpy, sys
sys.argv = ["trainer", sys.argv[1]]
try:
    runpy.run_module("worker.trainer", run_name="__main__")
except SystemExit as end:
    # Not getrusage: it still knows how large the process was from which this one was forked.
    status = pathlib.Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), file=sys.stderr)
    raise
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize(
    ("optimizer", "widths"),
    [("adabreg", [64, 64]), ("linbreg", [64, 64]), ("adabreg", [1800, 1800, 1800])],  # LinBreg keeps one copy less
)
def test_a_trainer_takes_no_more_than_was_estimated(make_folder, optimizer, widths):
    folder = make_folder(
        superstructure={"kind": "mlp", "widths": widths},
        method={"optimizer": optimizer, "lam": 0.0, "density": 1.0, "init_scale": 1.0, "lr": 1e-4},
        budget={"epochs": 1, "batch_size": 256},
        finetune={"epochs": 1},
    )
    data = load("digits", None)
    size = 4 * math.prod(data.x.shape)
    shape = DataShape("image", data.shape, data.classes, None, len(data.splits["train"]), size)
    estimate = plan(folder.read_job().spec, shape, 2**40).memory_bytes
    peak = 1024 * int(_run(folder).strip().splitlines()[-1])
    assert peak <= estimate, f"{peak / 2**20:.0f} MiB taken, {estimate / 2**20:.0f} MiB estimated"
    assert peak >= 0.4 * estimate, "an estimate far too high refuses what could be run"


def _run(folder) -> str:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder.path)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait() == 0, said
    return said
