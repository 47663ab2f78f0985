"""The well-known data sets, read in their published formats from the folder `BREGNAS_DATA`.

Each has an official test split, which is kept; validation samples are held out of the training samples by a fixed
fraction. Describing reads the files' headers alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets import idx, npz
from datasets.dataset import Dataset, Description
from datasets.errors import DataInvalid, DataSetMissing
from datasets.layout import MAX_CLASSES, Inputs, answers, inputs
from datasets.splits import TEST, TRAIN, VALIDATION, official

IDX_FILES: Final = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
NPZ_FILES: Final = ("train.npz", "test.npz")


@dataclass(frozen=True)
class Published:
    """What is known of a published set of labelled images before its files are looked at.

    `shape` is (C, H, W); `held_out` is the fraction of the official training samples that validate.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    held_out: float
    source: str

    def described(self, train: int, test: int) -> Description:
        """The description for so many official training and test samples."""
        validation = self._validation(train)
        return Description(
            name=self.name,
            kind="image",
            shape=self.shape,
            classes=self.classes,
            targets=None,
            count=train + test,
            splits={TRAIN: train - validation, VALIDATION: validation, TEST: test},
            value_range=(0.0, 1.0),
            source=self.source,
        )

    def assembled(self, train: tuple[Inputs, NDArray[np.int64]], test: tuple[Inputs, NDArray[np.int64]]) -> Dataset:
        """One data set of the official training samples followed by the official test samples."""
        labels = np.concatenate([train[1], test[1]])
        if int(labels.max()) >= self.classes:
            raise DataInvalid(
                f"{self.name} has labels up to {labels.max()}; it has the {self.classes} classes 0 … {self.classes - 1}"
            )
        splits = official(len(train[0]), len(test[0]), self._validation(len(train[0])), labels=train[1])
        return Dataset(self.name, np.concatenate([train[0], test[0]]), labels, splits)

    def found(self, root: Path | None, files: tuple[str, ...]) -> list[Path]:
        """The paths of `files` in this set's folder. Raises `DataSetMissing`, which names all that are absent."""
        if root is None:
            wanted = ", ".join(f"{self.name}/{file}" for file in files)
            raise DataSetMissing(self.name, f"BREGNAS_DATA is not set; set it to a folder that holds {wanted}")
        paths = [root / self.name / file for file in files]
        absent = [f"{self.name}/{path.name}" for path in paths if not path.is_file()]
        if absent:
            raise DataSetMissing(self.name, f"the folder BREGNAS_DATA lacks {', '.join(absent)}")
        return paths

    def _validation(self, train: int) -> int:
        return max(1, round(self.held_out * train))


@dataclass(frozen=True)
class IdxFolder:
    """A set in MNIST's format: four gzipped IDX files with the official names."""

    published: Published

    @property
    def name(self) -> str:
        """The name in the catalogue."""
        return self.published.name

    def describe(self, root: Path | None) -> Description:
        """Reads four headers. Raises `DataSetMissing`, `DataInvalid`."""
        (train, _), (test, _) = self._paths(root)
        return self.published.described(_count(train), _count(test))

    def load(self, root: Path | None) -> Dataset:
        """Reads all four files. Raises `DataSetMissing`, `DataInvalid`."""
        parts = []
        for images, labels in self._paths(root):
            x = inputs(idx.read(images))
            parts.append((x, _labels(idx.read(labels), len(x), labels.name)))
        return self.published.assembled(*parts)

    def _paths(self, root: Path | None) -> list[tuple[Path, Path]]:
        """The files (images, labels) of the training and the test samples, their headers checked."""
        train_x, train_y, test_x, test_y = self.published.found(root, IDX_FILES)
        pairs = [(train_x, train_y), (test_x, test_y)]
        for images, labels in pairs:
            of_images, of_labels = idx.header(images), idx.header(labels)
            if of_images.dtype != np.uint8 or of_images.shape[1:] != self.published.shape[1:]:
                raise DataInvalid(
                    f"{self.name}/{images.name} holds {of_images.dtype} of shape {of_images.shape};"
                    f" {self.name} is uint8 (N, {self.published.shape[1]}, {self.published.shape[2]})"
                )
            if of_labels.dtype != np.uint8 or of_labels.shape != of_images.shape[:1]:
                raise DataInvalid(
                    f"{self.name}/{labels.name} holds {of_labels.dtype} of shape {of_labels.shape}"
                    f" for {of_images.shape[0]} images; one uint8 label for each is needed"
                )
        return pairs


@dataclass(frozen=True)
class NpzFolder:
    """A set as `train.npz` and `test.npz`, each with `x` uint8 (N, H, W, C) and `y` labels (N,)."""

    published: Published

    @property
    def name(self) -> str:
        """The name in the catalogue."""
        return self.published.name

    def describe(self, root: Path | None) -> Description:
        """Reads the headers of both files. Raises `DataSetMissing`, `DataInvalid`."""
        train, test = self._paths(root)
        return self.published.described(npz.header(train)["x"].shape[0], npz.header(test)["x"].shape[0])

    def load(self, root: Path | None) -> Dataset:
        """Reads both files. Raises `DataSetMissing`, `DataInvalid`."""
        parts = []
        for path in self._paths(root):
            x, y = npz.read(path)
            if y is None:
                raise DataInvalid(f"{self.name}/{path.name} holds no y")
            parts.append((x, _labels(y, len(x), path.name)))
        return self.published.assembled(*parts)

    def _paths(self, root: Path | None) -> tuple[Path, Path]:
        train, test = self.published.found(root, NPZ_FILES)
        channels, height, width = self.published.shape
        for path in (train, test):
            x = npz.header(path)["x"]
            if x.dtype != np.uint8 or x.shape[1:] != (height, width, channels):
                raise DataInvalid(
                    f"{self.name}/{path.name} holds x as {x.dtype} of shape {x.shape};"
                    f" {self.name} is uint8 (N, {height}, {width}, {channels})"
                )
        return train, test


def _count(path: Path) -> int:
    return idx.header(path).shape[0]


def _labels(y: NDArray[Any], count: int, name: str) -> NDArray[np.int64]:
    labels = answers(y, count)
    if labels.ndim != 1 or labels.dtype != np.int64:
        raise DataInvalid(f"{name} holds targets; labels 0 … K-1 with K at most {MAX_CLASSES:,} are needed")
    return labels.astype(np.int64, copy=False)


FOLDERS = (
    IdxFolder(
        Published(
            name="mnist",
            shape=(1, 28, 28),
            classes=10,
            held_out=0.05,  # 3,000 of 60,000: the published settings train on 57,000
            source="MNIST (LeCun, Cortes, Burges), commonly listed as CC BY-SA 3.0",
        )
    ),
    IdxFolder(
        Published(
            name="fashion-mnist",
            shape=(1, 28, 28),
            classes=10,
            held_out=0.05,
            source="Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), MIT, Zalando SE",
        )
    ),
    NpzFolder(
        Published(
            name="cifar10",
            shape=(3, 32, 32),
            classes=10,
            held_out=0.1,
            source="CIFAR-10 (Krizhevsky 2009), no stated licence, research use is customary; never ship it",
        )
    ),
)
