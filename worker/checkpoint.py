"""Checkpoints: tensors and plain values in one safetensors file, written atomically, the one before it kept."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from worker.job import fsync_folder

_CURRENT, _PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"
Tensors = dict[str, torch.Tensor]


def save(folder: Path, tensors: Tensors, values: dict[str, Any]) -> Path:
    """Write a checkpoint and return its path. `values` must be JSON; tensors are copied contiguous."""
    scratch, current = folder / f".{_CURRENT}.{os.getpid()}", folder / _CURRENT
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(flat, scratch, metadata={"values": json.dumps(values)})
    descriptor = os.open(scratch, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if current.exists():
        current.replace(folder / _PREVIOUS)
    scratch.replace(current)
    fsync_folder(folder)
    return current


def load(folder: Path) -> tuple[Tensors, dict[str, Any]] | None:
    """The newest checkpoint of a folder that is whole, or None. A torn file is passed over."""
    for name in (_CURRENT, _PREVIOUS):
        try:
            return _read(folder / name)
        except (FileNotFoundError, SafetensorError):
            continue
    return None


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors under `prefix/`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors that stand under `prefix/`, without it."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        values = json.loads(file.metadata()["values"])
        return {name: file.get_tensor(name) for name in file.keys()}, values  # noqa: SIM118 - not a dict
