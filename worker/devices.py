"""May this worker serve that queue? Asked of a process of its own: the worker itself does not load torch."""

import subprocess
import sys

_ASK = "import torch; print(torch.cuda.is_available())"
_LONGEST_S = 120


def check(queue: str) -> None:
    """Raise ValueError, which says what to change, where the queue's device is not here."""
    if queue != "cuda":
        return
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK], capture_output=True, text=True, check=False, timeout=_LONGEST_S
        )
        is_here = asked.stdout.strip() == "True"
    except subprocess.TimeoutExpired:  # a driver that hangs
        is_here = False
    if not is_here:
        raise ValueError(
            "this worker is to serve the queue `cuda`, but PyTorch finds no CUDA device here: install a build of "
            "PyTorch for CUDA and look at nvidia-smi and CUDA_VISIBLE_DEVICES, or serve the queue `cpu`"
        )
