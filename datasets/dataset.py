"""A data set as the project reads it, and what can be said of it without loading it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataInvalid
from datasets.layout import Answers, Inputs
from datasets.splits import NAMES, Indices

Kind = Literal["image", "table"]


@dataclass(frozen=True)
class Description:
    """What a search needs to know of a data set before it is loaded.

    `shape` is one sample's: (C, H, W) or (F,). `classes` counts labels, `targets` counts regression targets; both
    are None where there are no answers. `value_range` is what `Dataset.batch` gives, None for a table.
    `source` names origin and licence.
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


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples, answers and splits, checked and fingerprinted when made.

    x: images as uint8 or float32 in memory order (N, C, H, W), or a table as float32 (N, F).
       uint8 pixels stand for value / 255; float32 pixels lie in [0, 1].
    y: labels as int64 (N,), targets as float32 (N, T), or None.
    splits: indices (int64) for each of `train`, `validation`, `test`; no sample is in two of them.
    fingerprint: sha256 over dtypes, shapes and bytes of x, y and the splits; the name is not in it.

    The arrays are to be read, not written. `datasets.layout` brings other arrays to these types.
    """

    name: str
    x: Inputs
    y: Answers | None
    splits: Mapping[str, Indices]
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        _check_inputs(self.x)
        if self.y is not None:
            _check_answers(self.y, len(self.x))
        _check_splits(self.splits, len(self.x))
        object.__setattr__(self, "fingerprint", _fingerprint(self.x, self.y, self.splits))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def kind(self) -> Kind:
        """`image` for (N, C, H, W), `table` for (N, F)."""
        return "image" if self.x.ndim == 4 else "table"

    @property
    def shape(self) -> tuple[int, ...]:
        """One sample's shape: (C, H, W) or (F,)."""
        return self.x.shape[1:]

    @property
    def classes(self) -> int | None:
        """The number of classes, the largest label and one; None where y is no labels."""
        return int(self.y.max()) + 1 if self.y is not None and self.y.ndim == 1 else None

    @property
    def targets(self) -> int | None:
        """The number of regression targets; None where y is none."""
        return self.y.shape[1] if self.y is not None and self.y.ndim == 2 else None

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
        )


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


def _check_answers(y: Answers, count: int) -> None:
    labels = y.ndim == 1 and y.dtype == np.int64
    targets = y.ndim == 2 and y.dtype == np.float32 and y.shape[1] > 0
    if not (labels or targets) or len(y) != count or not y.flags.c_contiguous:
        raise DataInvalid(
            f"y is {y.dtype} of shape {y.shape} for {count} samples; labels are int64 (N,), targets float32 (N, T)"
        )
    if not np.isfinite(y).all():
        raise DataInvalid("y holds values that are NaN or infinite")
    if labels and y.min() < 0:
        raise DataInvalid("y holds negative labels; number the classes 0 … K-1")


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


def _fingerprint(x: Inputs, y: Answers | None, splits: Mapping[str, Indices]) -> str:
    digest = hashlib.sha256()
    for label, array in [("x", x), ("y", y), *((name, splits[name]) for name in NAMES)]:
        if array is None:
            continue
        digest.update(json.dumps([label, array.dtype.str, array.shape]).encode() + b"\n")
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
