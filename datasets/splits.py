"""Which samples train, which validate, which test.

The seed of a split is a constant of this module and not the search's seed: two searches with different seeds are
compared on the same test images. The order comes from PCG64's raw stream, which numpy promises to keep for ever
(it does not promise that for `Generator.permutation`), so a search resumed under a newer numpy meets the same split.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataInvalid

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
NAMES: Final = (TRAIN, VALIDATION, TEST)

SEED: Final = 20241124

Indices = NDArray[np.int64]
Splits = Mapping[str, Indices]


def tenths(count: int) -> tuple[int, int]:
    """The sizes of validation and test where a set brings no split: a tenth each, at least one sample."""
    if count < len(NAMES):
        raise DataInvalid(f"{count} samples cannot be split into {', '.join(NAMES)}; at least {len(NAMES)} are needed")
    tenth = max(1, round(count / 10))
    return tenth, tenth


def seeded(count: int, validation: int, test: int, labels: NDArray[Any] | None = None) -> dict[str, Indices]:
    """`count` samples, shuffled, into `validation`, `test`, and the rest to train.

    With `labels` (count,) every split has the classes in the proportions of the whole, as near as whole samples
    allow. Each split is in shuffled order: its first few samples are of mixed classes.
    """
    if min(validation, test) < 1 or validation + test >= count:
        raise DataInvalid(f"{count} samples cannot give {validation} to validation and {test} to test")
    order = _shuffled(count, labels)
    return {
        TRAIN: order[validation + test :],
        VALIDATION: order[:validation],
        TEST: order[validation : validation + test],
    }


def official(train: int, test: int, validation: int, labels: NDArray[Any] | None = None) -> dict[str, Indices]:
    """Keeps an official test split: samples `train … train + test - 1`, in the file's order.

    `validation` samples are held out of the `train` official training samples as `seeded` does; `labels` (train,).
    """
    if test < 1 or not 1 <= validation < train:
        raise DataInvalid(f"{train} training samples and {test} test samples cannot give {validation} to validation")
    order = _shuffled(train, labels)
    return {
        TRAIN: order[validation:],
        VALIDATION: order[:validation],
        TEST: np.arange(train, train + test, dtype=np.int64),
    }


def _shuffled(count: int, labels: NDArray[Any] | None) -> Indices:
    """The indices 0 … count-1 in the seed's order; with labels, every prefix is near the classes' proportions."""
    order = np.argsort(np.random.PCG64(SEED).random_raw(count), kind="stable").astype(np.int64)
    if labels is None:
        return order
    shuffled = np.asarray(labels)[order]
    place = np.empty(count, dtype=np.float64)  # where in its class a sample stands, between 0 and 1
    for label in np.unique(shuffled):
        members = np.flatnonzero(shuffled == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return order[np.argsort(place, kind="stable")]
