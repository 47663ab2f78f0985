"""Checkpoints: tensors and plain values in one safetensors file, written atomically, the one before it kept."""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from worker.failure import needs_room
from worker.job import fsync_folder
from worker.snapshot import NAMES, SUMS, VALUES, is_whole

Tensors = dict[str, torch.Tensor]


@needs_room()
def save(folder: Path, tensors: Tensors, values: dict[str, Any]) -> Path:
    """Write a checkpoint and return its path. `values` must be JSON; tensors are copied contiguous.

    Raises DiskFull where it has no room; the checkpoints before it are then as they were.
    """
    current, previous = (folder / name for name in NAMES)
    scratch = folder / f".{current.name}"  # a folder has one trainer at a time, and what a killed one left goes
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    told = json.dumps(values)
    sums = {name: _sum(tensor) for name, tensor in flat.items()} | {VALUES: zlib.crc32(told.encode())}
    try:
        save_file(flat, scratch, metadata={VALUES: told, SUMS: json.dumps(sums)})
        descriptor = os.open(scratch, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        scratch.unlink(missing_ok=True)  # half of it would keep the disk full
        raise
    if current.exists():
        current.replace(previous)
    scratch.replace(current)
    fsync_folder(folder)
    return current


def load(folder: Path) -> tuple[Tensors, dict[str, Any]] | None:
    """The newest checkpoint of a folder that is whole, or None. A torn or damaged file is passed over."""
    for name in NAMES:
        if is_whole(folder / name):
            return _read(folder / name)
    return None


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors under `prefix/`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors that stand under `prefix/`, without it."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _sum(tensor: torch.Tensor) -> int:
    return zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data)


def _read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        values = json.loads(file.metadata()[VALUES])
        return {name: file.get_tensor(name) for name in file.keys()}, values  # noqa: SIM118 - not a dict
