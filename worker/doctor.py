"""What can be wrong with the worker on this machine? An entry point of the group `bregnas.checks`."""

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from worker import devices
from worker.settings import WorkerSettings

Finding = tuple[str, str, str, str]
"""Name, state (`ok`, `note`, `wrong`), what is the case, how to mend it."""


def checks() -> Iterator[Finding]:
    """Look at the settings, PyTorch and the device of the worker's queue."""
    try:
        settings = WorkerSettings.from_environment()
    except ValueError as error:
        yield "worker", "wrong", str(error), "change that variable, or leave it out; docs/operating.md lists them"
        return
    try:
        found = version("torch")
    except PackageNotFoundError:
        yield (
            "PyTorch",
            "note",
            "it is not installed: no search can run on this machine",
            "pip install 'bregnas[worker]'",
        )
        return
    try:
        devices.check(settings.queue)
    except ValueError as error:
        yield "PyTorch", "wrong", str(error), "BREGNAS_QUEUE=cpu, or a build of PyTorch for this GPU"
        return
    cores = os.cpu_count() or 1
    said = f"{found}, for the queue {settings.queue}, with {settings.threads} threads a search"
    if settings.threads > cores:
        yield (
            "PyTorch",
            "note",
            f"{said} on {cores} cores",
            f"BREGNAS_THREADS={cores} is faster, and rounds differently",
        )
    else:
        yield "PyTorch", "ok", said, ""
