"""How far is a checkpoint, and is it whole? Read from its file without torch: the worker itself does not load it."""

import json
import zlib
from pathlib import Path
from typing import Any, BinaryIO

NAMES = ("checkpoint.safetensors", "checkpoint.previous.safetensors")
"""The newest checkpoint of a folder and the one before it."""

VALUES, SUMS = "values", "sums"
"""What stands in the head of the file besides its tensors: plain values, and the CRC-32 of each tensor and of those."""

_STAGES = ("search", "finetune", "compare")
_LONGEST_HEAD = 1 << 30
_PIECE = 1 << 20

Position = tuple[int, int, int]
"""Stage, epoch, batch: the larger is the further."""

_TORN = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading a damaged file may raise."""


def position(path: Path) -> Position | None:
    """How far a checkpoint is; None where the file is not there or not of its full length."""
    try:
        with path.open("rb") as file:
            _, _, told = _head(file)
        values = json.loads(told[VALUES])
        return _STAGES.index(values["stage"]), values["epoch"], values["batch"]
    except _TORN:
        return None


def is_whole(path: Path) -> bool:
    """Whether the file is there and every byte in it is as it was written."""
    try:
        with path.open("rb") as file:
            start, parts, told = _head(file)
            sums = json.loads(told[SUMS])
            whole: bool = zlib.crc32(told[VALUES].encode()) == sums.pop(VALUES) and sums.keys() == parts.keys()
            for name, part in parts.items():
                begin, end = part["data_offsets"]
                file.seek(start + begin)
                whole = whole and _sum(file, end - begin) == sums[name]
            return whole
    except _TORN:
        return False


def position_of(stage: str, epoch: int) -> Position:
    """The least position with this stage and epoch."""
    return (_STAGES.index(stage) if stage in _STAGES else -1), epoch, 0


def stage_of(found: Position) -> str:
    """The name of a position's stage."""
    return _STAGES[found[0]]


def _head(file: BinaryIO) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Where the tensors begin, where each lies from there, and what else is told; ValueError for another length."""
    length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_HEAD:
        raise ValueError("no head is that long")
    parts = json.loads(file.read(length))
    told = parts.pop("__metadata__")
    whole = 8 + length + max((part["data_offsets"][1] for part in parts.values()), default=0)
    if file.seek(0, 2) != whole:
        raise ValueError("the file is longer or shorter than its head says")
    return 8 + length, parts, told


def _sum(file: BinaryIO, size: int) -> int:
    found = 0
    while size > 0 and (piece := file.read(min(size, _PIECE))):
        found, size = zlib.crc32(piece, found), size - len(piece)
    return found
