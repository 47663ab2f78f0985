"""A data set as the project reads it, and what can be said of it without loading it."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataInvalid
from datasets.layout import Answers, Inputs
from datasets.splits import NAMES, TRAIN, Indices
from spec.data import DataShape, Pairs, Sizes

Kind = Literal["image", "table"]

_FLOAT: Final = 4  # bytes; a search reads float32


@dataclass(frozen=True)
class Description:
    """What a search needs to know of a data set before it is loaded.

    `shape` is one sample's: (C, H, W) or (F,). `classes` counts labels, `targets` counts regression targets; both
    are None where there are no answers. `value_range` is what `Dataset.batch` gives, None for a table.
    `source` names origin and licence. `sizes` is set where images differ in size, and `shape` then has the largest
    height and width of the training images; `pairs` where every image has a partner or a mask.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    classes: int | None
    targets: int | None
    count: int
    splits: Mapping[str, int]
    value_range: tuple[float, float] | None
    source: str
    sizes: Sizes | None = None
    pairs: Pairs | None = None

    def as_planned(self) -> DataShape:
        """What a plan must know of it; `bytes` is what it takes in memory at most, partners and the canvas of images of
        different sizes included."""
        extent = self.shape[1:] if self.sizes is None else self.sizes.largest
        channels = self.shape[0] + (0 if self.pairs is None else self.pairs.channels)
        return DataShape(
            kind=self.kind,
            shape=self.shape,
            classes=self.classes,
            targets=self.targets,
            count=self.splits[TRAIN],
            bytes=_FLOAT * self.count * channels * math.prod(extent),
            sizes=self.sizes,
            pairs=self.pairs,
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples, answers and splits, checked and fingerprinted when made.

    x: images as uint8 or float32 in memory order (N, C, H, W), or a table as float32 (N, F).
       uint8 pixels stand for value / 255; float32 pixels lie in [0, 1].
    y: labels as int64 (N,), targets as float32 (N, T), images as x has them (N, C', H, W), masks of classes as uint8
       (N, H, W), or None.
    splits: indices (int64) for each of `train`, `validation`, `test`; no sample is in two of them.
    sizes: of images that differ in size, height and width of each as int64 (N, 2). x (and y) are then a canvas, with
       every image in its upper left corner. None where all fill it.
    fingerprint: sha256 over dtypes, shapes and bytes of x, y, the splits and sizes; the name is not in it.

    The arrays are to be read, not written. `datasets.layout` brings other arrays to these types.
    """

    name: str
    x: Inputs
    y: Answers | None
    splits: Mapping[str, Indices]
    sizes: Indices | None = None
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        _check_inputs(self.x)
        if self.y is not None:
            _check_answers(self.y, self.x)
        _check_splits(self.splits, len(self.x))
        if self.sizes is not None:
            _check_sizes(self.sizes, self.x)
        object.__setattr__(self, "fingerprint", _fingerprint(self))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def kind(self) -> Kind:
        """`image` for (N, C, H, W), `table` for (N, F)."""
        return "image" if self.x.ndim == 4 else "table"

    @property
    def shape(self) -> tuple[int, ...]:
        """One sample's shape: (C, H, W) or (F,); of images of different sizes, of the largest sides in training."""
        return (self.x.shape[1], *self.extent(TRAIN)) if self.sizes is not None else self.x.shape[1:]

    def extent(self, split: str) -> tuple[int, int]:
        """The largest height and the largest width of a split's images."""
        if self.sizes is None:
            return self.x.shape[2], self.x.shape[3]
        height, width = self.sizes[self.splits[split]].max(0)
        return int(height), int(width)

    def image(self, index: int) -> Inputs:
        """One sample as it is, (C, H, W) or (F,): an image without the rest of its canvas."""
        height, width = self.x.shape[-2:] if self.sizes is None else self.sizes[index]
        sample: Inputs = self.x[index, ..., :height, :width] if self.kind == "image" else self.x[index]
        return sample

    @property
    def classes(self) -> int | None:
        """The number of classes, the largest label and one; None where y is no labels."""
        return int(self.y.max()) + 1 if self.y is not None and self.y.ndim == 1 else None

    @property
    def targets(self) -> int | None:
        """The number of regression targets; None where y is none."""
        return self.y.shape[1] if self.y is not None and self.y.ndim == 2 else None

    @property
    def pairs(self) -> Pairs | None:
        """What goes with every image where that is an image or a mask."""
        if self.y is None or self.y.ndim < 3:
            return None
        return Pairs("mask", 1, int(self.y.max()) + 1) if self.y.ndim == 3 else Pairs("image", self.y.shape[1])

    def batch(self, indices: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """The samples at `indices` as a new float32 array (B, C, H, W) in [0, 1], or (B, F)."""
        chosen = self.x[indices].astype(np.float32)
        if self.x.dtype == np.uint8:
            chosen /= np.float32(255)
        return chosen

    def description(self, source: str) -> Description:
        """What this data set would be described as; `source` names origin and licence."""
        return Description(
            name=self.name,
            kind=self.kind,
            shape=self.shape,
            classes=self.classes,
            targets=self.targets,
            count=len(self),
            splits={name: len(self.splits[name]) for name in NAMES},
            value_range=(0.0, 1.0) if self.kind == "image" else None,
            source=source,
            sizes=self._sizes(),
            pairs=self.pairs,
        )

    def _sizes(self) -> Sizes | None:
        if self.sizes is None:
            return None
        (top, left), (bottom, right) = self.sizes.min(0).tolist(), self.sizes.max(0).tolist()
        return Sizes((top, left), (bottom, right), bool(np.ptp(self.sizes[self.splits[TRAIN]], axis=0).any()))


def _check_inputs(x: Inputs) -> None:
    image = x.ndim == 4 and x.dtype in (np.uint8, np.float32)
    table = x.ndim == 2 and x.dtype == np.float32
    if not (image or table) or 0 in x.shape or not x.flags.c_contiguous:
        raise DataInvalid(
            f"x is {x.dtype} of shape {x.shape}; images are uint8 or float32 (N, C, H, W), tables float32 (N, F),"
            " in memory order"
        )
    if x.dtype != np.float32:
        return
    lowest, highest = float(x.min()), float(x.max())
    if not np.isfinite(lowest) or not np.isfinite(highest):
        raise DataInvalid("x holds values that are NaN or infinite")
    if image and not 0 <= lowest <= highest <= 1:
        raise DataInvalid(f"x holds floating-point pixels from {lowest:g} to {highest:g}; they must lie in [0, 1]")


def _check_answers(y: Answers, x: Inputs) -> None:
    labels = y.ndim == 1 and y.dtype == np.int64
    targets = y.ndim == 2 and y.dtype == np.float32 and y.shape[1] > 0
    mask = y.ndim == 3 and y.dtype == np.uint8
    image = y.ndim == 4 and y.dtype in (np.uint8, np.float32) and y.shape[1] > 0
    if not (labels or targets or mask or image) or len(y) != len(x) or not y.flags.c_contiguous:
        raise DataInvalid(
            f"y is {y.dtype} of shape {y.shape} for {len(x)} samples; labels are int64 (N,), targets float32 (N, T), "
            "masks uint8 (N, H, W), images uint8 or float32 (N, C, H, W)"
        )
    if (mask or image) and (x.ndim != 4 or y.shape[-2:] != x.shape[-2:]):
        raise DataInvalid(f"y has the shape {y.shape}, x {x.shape}; an image and its partner have one height and width")
    if not np.isfinite(y).all():
        raise DataInvalid("y holds values that are NaN or infinite")
    if labels and y.min() < 0:
        raise DataInvalid("y holds negative labels; number the classes 0 … K-1")
    if image and y.dtype == np.float32 and not 0 <= y.min() <= y.max() <= 1:
        raise DataInvalid(f"y holds floating-point pixels from {y.min():g} to {y.max():g}; they must lie in [0, 1]")


def _check_sizes(sizes: Indices, x: Inputs) -> None:
    if x.ndim != 4 or sizes.dtype != np.int64 or sizes.shape != (len(x), 2):
        raise DataInvalid(
            f"sizes is {sizes.dtype} of shape {sizes.shape}; of images (N, C, H, W) int64 (N, 2) is needed"
        )
    if sizes.min() < 1 or (sizes.max(0) > x.shape[2:]).any() or (sizes == x.shape[2:]).all():
        raise DataInvalid(
            f"sizes must lie between 1 and {x.shape[2]}×{x.shape[3]}, and not all be that; else leave them out"
        )


def _check_splits(splits: Mapping[str, Indices], count: int) -> None:
    if set(splits) != set(NAMES):
        raise DataInvalid(f"the splits are {', '.join(sorted(splits))}; {', '.join(NAMES)} are needed")
    for name, indices in splits.items():
        if indices.ndim != 1 or indices.dtype != np.int64 or not len(indices):
            raise DataInvalid(f"the split {name} must be a filled list of int64 indices")
        if indices.min() < 0 or indices.max() >= count:
            raise DataInvalid(f"the split {name} names samples outside 0 … {count - 1}")
    if np.bincount(np.concatenate(list(splits.values()))).max() > 1:
        raise DataInvalid("a sample stands in the splits twice")


def _fingerprint(data: Dataset) -> str:
    digest = hashlib.sha256()
    arrays = [("x", data.x), ("y", data.y), *((name, data.splits[name]) for name in NAMES), ("sizes", data.sizes)]
    for label, array in arrays:
        if array is None:
            continue
        digest.update(json.dumps([label, array.dtype.str, array.shape]).encode() + b"\n")
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
