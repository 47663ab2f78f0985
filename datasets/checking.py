"""Has an upload checked, by a process of its own (`datasets.check`) that may die of it."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from datasets.checked import Checked
from datasets.errors import DataInvalid

WAIT_S: Final = 600.0
MEMORY: Final = 6 << 30  # bytes of address space; arrays of 1 GiB take three while they are converted
_CANNOT_WRITE: Final = 74  # as `datasets.check` says
_ALLOWED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
_ALLOWED_PREFIXES: Final = ("LD_", "COVERAGE_", "PYTHON")


def check(folder: Path, wait_s: float = WAIT_S, memory: int = MEMORY) -> Checked:
    """Check the file `upload` in `folder`; where it is good, `data.npz` lies beside it afterwards.

    Raises `DataInvalid` with what is wrong, also where reading it took too much memory or time; OSError where the disk
    is full.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "datasets.check", str(folder), str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=_environment(),
        start_new_session=True,
    )
    try:
        code = process.wait(wait_s)
    except subprocess.TimeoutExpired:
        raise DataInvalid(f"the file took more than {wait_s:g} seconds to be read; send fewer samples") from None
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
    if code == _CANNOT_WRITE:
        raise OSError(errno.EIO, "the checked data set could not be written")
    if code != 0:
        raise DataInvalid(f"the file cannot be read: {_ended(code)}; send fewer samples, or write the file anew")
    outcome = json.loads((folder / "report.json").read_bytes())
    if "refused" in outcome:
        raise DataInvalid(outcome["refused"])
    return Checked(**outcome)


def _ended(code: int) -> str:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "reading it took more time or memory than it may"
    if code < 0:
        return f"reading it ended with {signal.Signals(-code).name}"
    return "reading it failed, which is our fault; the format may be an unusual one"


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in _ALLOWED or k.startswith(_ALLOWED_PREFIXES)}
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
