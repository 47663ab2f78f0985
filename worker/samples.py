"""A data set as tensors: the splits, batches in the network's units, and the statistics of the training part."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets import Dataset
from datasets.splits import NAMES
from models.network import Affine
from spec import DataShape

Batch = tuple[torch.Tensor, torch.Tensor | None]


@dataclass(frozen=True)
class Split:
    """One split. `x` is uint8 (pixels of 1/255) or float32; `y` int64 labels, float32 targets, uint8 masks (N, H, W),
    images as x has them, or None.

    `sizes` (N, 2) holds height and width of images that differ; each then lies in the upper left corner of its canvas.
    """

    x: torch.Tensor
    y: torch.Tensor | None
    sizes: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def pixels(self) -> int:
        """Pixels of the largest image; 1 of a table."""
        return self.x[0, 0].numel() if self.x.ndim == 4 else 1

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of an image."""
        height, width = self.x.shape[2:] if self.sizes is None else self.sizes[index].tolist()
        return int(height), int(width)

    def first(self, most: int) -> torch.Tensor:
        """Indices of the first samples, `most` at most, that make a batch: those with the size of the first."""
        indices = torch.arange(min(most, len(self)))
        return indices if self.sizes is None else indices[(self.sizes[indices] == self.sizes[0]).all(1)]

    def batch(self, indices: torch.Tensor) -> Batch:
        """Whole samples as float32 (batch, *shape), with what goes with them; of images of one size."""
        x, y = self.x[indices], None if self.y is None else self.y[indices]
        if self.sizes is not None:
            height, width = self.size(int(indices[0]))
            if not (self.sizes[indices] == self.sizes[indices[0]]).all():
                raise ValueError("images of different sizes make no batch")
            x, y = x[..., :height, :width], y if y is None or y.ndim < 3 else y[..., :height, :width]
        return _in_units(x), None if y is None else _partner(y)

    def crops(self, indices: torch.Tensor, side: int, generator: torch.Generator) -> Batch:
        """A random square of every image, (batch, C, side, side), turned and mirrored at random, with the same square
        of its partner. Every place in the image, and each of the 8 ways to lay it, is as likely as any other."""
        places = torch.rand(len(indices), 2, generator=generator, dtype=torch.float64)
        ways = torch.randint(8, (len(indices),), generator=generator).tolist()
        with_y = self.y is not None and self.y.ndim > 2
        x, y = [], []
        for index, place, way in zip(indices.tolist(), places, ways, strict=True):
            size = torch.tensor(self.size(index))
            top, left = (place * (size - side + 1)).long().tolist()
            part = (..., slice(top, top + side), slice(left, left + side))
            x.append(_laid(self.x[index][part], way))
            if with_y:
                assert self.y is not None
                y.append(_laid(self.y[index][part], way))
        partner = torch.stack(y) if with_y else None if self.y is None else self.y[indices]
        return _in_units(torch.stack(x)), None if partner is None else _partner(partner)


class Samples:
    """All splits of a data set, and the statistics of its training split."""

    def __init__(self, dataset: Dataset) -> None:
        self.fingerprint = dataset.fingerprint
        self.kind, self.classes, self.pairs = dataset.kind, dataset.classes, dataset.pairs
        self.sizes = dataset.description("").sizes
        self.splits = {name: _split(dataset, name) for name in NAMES}
        self.train = self.splits["train"]
        self.inputs = _statistics(_images(self.train.x, self.train), image=dataset.kind == "image")
        self.outputs = _outputs(self.train)

    @property
    def shape(self) -> DataShape:
        """What a specification must know of these data."""
        x, y = self.train.x, self.train.y
        return DataShape(
            kind=self.kind,
            shape=tuple(x.shape[1:]),
            classes=self.classes,
            targets=y.shape[1] if y is not None and y.ndim == 2 else None,
            count=len(x),
            bytes=sum(split.x.nbytes for split in self.splits.values()),
            sizes=self.sizes,
            pairs=self.pairs,
        )


def _split(dataset: Dataset, name: str) -> Split:
    indices, sizes = dataset.splits[name], None
    if dataset.sizes is not None:
        of_split = dataset.sizes[indices]
        sizes = None if (of_split == of_split[0]).all() else torch.from_numpy(of_split)

    def tensor(values: NDArray[Any]) -> torch.Tensor:
        chosen = values[indices]
        if dataset.sizes is not None and values.ndim > 2:  # the canvas of this split, which may be smaller
            height, width = dataset.extent(name)
            chosen = chosen[..., :height, :width]
        return torch.from_numpy(np.ascontiguousarray(chosen))

    return Split(tensor(dataset.x), None if dataset.y is None else tensor(dataset.y), sizes)


def _laid(square: torch.Tensor, way: int) -> torch.Tensor:
    """One of the 8 ways to lay a square: quarter turns, mirrored first where `way` is 4 or more."""
    return torch.rot90(square.flip(-1) if way >= 4 else square, way % 4, (-2, -1))


def _in_units(x: torch.Tensor) -> torch.Tensor:
    return x.float().div_(255) if x.dtype == torch.uint8 else x


def _partner(y: torch.Tensor) -> torch.Tensor:
    """Masks as int64 classes, images in units, the rest as it is."""
    return y.long() if y.ndim == 3 else _in_units(y) if y.ndim == 4 else y


def _outputs(train: Split) -> Affine | None:
    """Statistics of what goes with the samples, where these are numbers: targets or images."""
    if train.y is None or train.y.ndim not in (2, 4):
        return None
    return _statistics(_images(train.y, train), image=train.y.ndim == 4)


def _images(values: torch.Tensor, of: Split) -> torch.Tensor:
    """Values without what lies beside images on their canvas, as (1, C, pixels) where there is such."""
    if of.sizes is None or values.ndim != 4:
        return values
    return torch.cat([values[i, :, :h, :w].flatten(1) for i, (h, w) in enumerate(of.sizes.tolist())], 1)[None]


def _statistics(x: torch.Tensor, *, image: bool) -> Affine:
    """Mean and standard deviation in float64, by channel for images (C, 1, 1), by column for tables (F,)."""
    values = x.double() / 255 if x.dtype == torch.uint8 else x.double()
    axes = (0, *range(2, x.ndim)) if image else (0,)
    mean, std = values.mean(axes, keepdim=True)[0], values.std(axes, correction=0, keepdim=True)[0]
    if image:
        mean, std = mean.reshape(-1, 1, 1), std.reshape(-1, 1, 1)
    return Affine(mean.float(), torch.where(std > 0, std, torch.ones_like(std)).float())
