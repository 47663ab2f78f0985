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


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")


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
    peak, estimate = taken(folder, "digits")
    assert 0.4 * estimate <= peak <= estimate, told(peak, estimate)


def test_a_trainer_takes_no_more_where_a_rival_is_larger_than_the_superstructure(make_folder):
    """Equal widths of as many parameters as a U-Net that is wide on its coarse levels hold three times its numbers."""
    folder = make_folder(
        superstructure={"kind": "unet", "levels": 5, "base": 8, "convolutions": 1, "kernel": 1},
        data="photos",
        method={},
        target={"fraction": 0.9},
        budget={"epochs": 1, "batch_size": 64, "crop": 80},
        finetune={"epochs": 0},
        compare=["control"],
    )
    peak, estimate = taken(folder, "photos")
    assert 0.4 * estimate <= peak <= estimate, told(peak, estimate)


def test_cycles_take_no_more_than_was_estimated(make_folder):
    """Weights by the million on few pixels: the steps that sleepers have missed lie beside them."""
    folder = make_folder(
        superstructure={"kind": "convnet", "channels": [64, 256], "kernel": 5, "hidden": [8192]},
        task={"kind": "classify"},
        method={},
        target={"fraction": 0.05},
        budget={"epochs": 1, "batch_size": 64},
        finetune={"epochs": 0},
        compare=[],
    )
    peak, estimate = taken(folder, "digits")
    assert 0.4 * estimate <= peak <= estimate, told(peak, estimate)


def told(peak, estimate):
    """An estimate that is far too high refuses what could be run."""
    return f"{peak / 2**20:.0f} MiB taken, {estimate / 2**20:.0f} MiB estimated"


def taken(folder, name):
    """Bytes that a trainer of its own took at most, and that were estimated before."""
    data = load(name, None)
    shape = DataShape("image", data.shape, data.classes, None, len(data.splits["train"]), 4 * math.prod(data.x.shape))
    estimate = plan(folder.read_job().spec, shape, 2**40).memory_bytes
    return 1024 * int(_run(folder).strip().splitlines()[-1]), estimate


def _run(folder) -> str:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder.path)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait() == 0, said
    return said
