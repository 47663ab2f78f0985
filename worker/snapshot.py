"""How far is a checkpoint? Read from the head of its file, without torch: the worker itself does not load it."""

import json
from pathlib import Path

NAMES = ("checkpoint.safetensors", "checkpoint.previous.safetensors")
"""The newest checkpoint of a folder and the one before it."""

_STAGES = ("search", "finetune", "compare")
_LONGEST_HEAD = 1 << 30

Position = tuple[int, int, int]
"""Stage, epoch, batch: the larger is the further."""


def position(path: Path) -> Position | None:
    """How far a checkpoint is; None where the file is not there or not whole."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST_HEAD:
                return None
            head = json.loads(file.read(length))
        values = json.loads(head.pop("__metadata__")["values"])
        whole = 8 + length + max((part["data_offsets"][1] for part in head.values()), default=0)
        if path.stat().st_size != whole:
            return None
        return _STAGES.index(values["stage"]), values["epoch"], values["batch"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def position_of(stage: str, epoch: int) -> Position:
    """The least position with this stage and epoch."""
    return (_STAGES.index(stage) if stage in _STAGES else -1), epoch, 0


def stage_of(found: Position) -> str:
    """The name of a position's stage."""
    return _STAGES[found[0]]
