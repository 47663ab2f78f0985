"""What a measurement leaves: JSON lines, appended as they come, so that a run can be left and taken up again."""

import hashlib
import json
from pathlib import Path
from typing import Any

from spec import SearchSpec

Record = dict[str, Any]


def key(spec: SearchSpec) -> str:
    """Names a run: what was asked for that its result follows from, the seed included.

    Labels are left out, and so is what stands at its default, lest every new field of a specification make all runs
    new: whoever changes a *default* removes the records it touches.
    """
    content = spec.model_dump(mode="json", exclude_defaults=True, exclude={"name", "metadata", "priority"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def read(path: Path) -> list[Record]:
    """All whole records; the torn last line of a killed process is passed over."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def append(path: Path, record: Record) -> None:
    """Add a line, on a line of its own even where the file ends with a torn one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write(("\n" if torn else "") + json.dumps(record) + "\n")
