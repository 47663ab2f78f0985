"""A data set as tensors: the splits, batches in the network's units, and the statistics of the training part."""

from dataclasses import dataclass

import numpy as np
import torch

from datasets import Dataset
from models.network import Affine
from spec import DataShape


@dataclass(frozen=True)
class Split:
    """One split. `x` is uint8 (pixels of 1/255) or float32; `y` int64 labels, float32 targets, or None."""

    x: torch.Tensor
    y: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Samples as float32 (batch, *shape), with what goes with them."""
        x = self.x[indices]
        return x.float().div_(255) if x.dtype == torch.uint8 else x, None if self.y is None else self.y[indices]


class Samples:
    """All splits of a data set, and the statistics of its training split."""

    def __init__(self, dataset: Dataset) -> None:
        self.fingerprint = dataset.fingerprint
        self.kind, self.classes = dataset.kind, dataset.classes
        self.splits = {name: _split(dataset, name) for name in ("train", "validation", "test")}
        self.train = self.splits["train"]
        self.inputs = _statistics(self.train.x, image=dataset.kind == "image")
        targets = self.train.y if self.train.y is not None and self.train.y.is_floating_point() else None
        self.outputs = None if targets is None else _statistics(targets, image=False)

    @property
    def shape(self) -> DataShape:
        """What a specification must know of these data."""
        x, y = self.train.x, self.train.y
        return DataShape(
            kind=self.kind,
            shape=tuple(x.shape[1:]),
            classes=self.classes,
            targets=y.shape[1] if y is not None and y.is_floating_point() else None,
            count=len(x),
            bytes=sum(split.x.nbytes for split in self.splits.values()),
        )


def _split(dataset: Dataset, name: str) -> Split:
    indices = dataset.splits[name]
    x = torch.from_numpy(np.ascontiguousarray(dataset.x[indices]))
    return Split(x, None if dataset.y is None else torch.from_numpy(np.ascontiguousarray(dataset.y[indices])))


def _statistics(x: torch.Tensor, *, image: bool) -> Affine:
    """Mean and standard deviation in float64, by channel for images (C, 1, 1), by column for tables (F,)."""
    values = x.double() / 255 if x.dtype == torch.uint8 else x.double()
    axes = (0, *range(2, x.ndim)) if image else (0,)
    mean, std = values.mean(axes, keepdim=True)[0], values.std(axes, correction=0, keepdim=True)[0]
    return Affine(mean.float(), torch.where(std > 0, std, torch.ones_like(std)).float())
