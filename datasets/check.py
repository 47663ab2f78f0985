"""The process that reads an upload: alone, in one folder, with little to spend and much forbidden.

    python -m datasets.check FOLDER MEMORY

It reads `upload` in the folder and writes `report.json`; where the upload is good, `data.npz` first. It bounds its own
memory, time and files before it looks at the first byte, forbids itself sockets, other processes and pickles, and
ends when its standard input closes. It imports no torch and loads no pickle.

Exit status: 0 with a report, be it a refusal; 74 where nothing can be written; else it was a limit or a kill.
"""

import json
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any, Final

from datasets import report, upload
from datasets.errors import DataInvalid

SECONDS: Final = 300  # of the CPU
FILE: Final = 3 << 29  # bytes of the largest file that it may write
CANNOT_WRITE: Final = 74
_FORBIDDEN: Final = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pickle.find_class")


def main() -> int:
    """Check the upload in the folder that the command line names."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit(memory=int(sys.argv[2]))
    sys.addaudithook(_forbid)
    outcome: dict[str, Any]
    try:
        read = upload.read(folder / "upload", "upload")
        found = report.of(read)
        upload.save(read, folder / "data.npz")
        outcome = {"format": found.format, "fingerprint": found.fingerprint, "description": found.description}
    except DataInvalid as refusal:
        outcome = {"refused": str(refusal)}
    except MemoryError:
        outcome = {"refused": "the file does not fit into the memory that a check may use; send fewer samples"}
    except OSError:  # in writing: whatever reading raises has become a refusal
        return CANNOT_WRITE
    outcome["peak_bytes"] = _peak()
    try:
        (folder / "report.json").write_text(json.dumps(outcome))
    except OSError:
        return CANNOT_WRITE
    return 0


def _limit(memory: int) -> None:
    for what, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (most, most))


def _peak() -> int:
    """The most bytes that this process had in memory. The system's `ru_maxrss` would count its parent's too."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forbid(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"{event} is forbidden here")


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
