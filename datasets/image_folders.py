"""The well-known sets of images in folders, read from `BREGNAS_DATA`: for denoisers, and for segmentation.

An image is `NAME/FILE.png`, or `NAME/image/FILE.png` with its mask `NAME/label/FILE.png`. Describing counts the files
and declares the rest; loading checks what was declared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, Description
from datasets.errors import DataInvalid, DataSetMissing, refusing
from datasets.layout import MAX_BYTES, inputs
from datasets.masks import Mask
from datasets.splits import TEST, TRAIN, VALIDATION, Indices, official, seeded
from spec.data import Pairs, Sizes

Size = tuple[int, int]
Splitting = Callable[[int], dict[str, Indices]]

_IMAGE: Final = "image"
_LABEL: Final = "label"


@dataclass(frozen=True)
class ImageFolder:
    """Grey images in one folder, or in two with their masks; all of `size` (H, W) unless `sizes` says more.

    `masked` turns what is stored in `label/` (N, H, W) into classes; `test_on` names a folder of images that are the
    test split, and `splitting` then says what becomes of the others alone.
    """

    name: str
    size: Size
    source: str
    splitting: Splitting
    sizes: Sizes | None = None
    masked: Callable[[NDArray[Any]], Mask] | None = None
    test_on: str | None = None

    def describe(self, root: Path | None) -> Description:
        """Counts the files. Raises `DataSetMissing`, `DataInvalid`."""
        splits = self._splits(*self._files(root))
        return Description(
            name=self.name,
            kind="image",
            shape=(1, *self.size),
            classes=None,
            targets=None,
            count=sum(len(indices) for indices in splits.values()),
            splits={name: len(indices) for name, indices in splits.items()},
            value_range=(0.0, 1.0),
            source=self.source,
            sizes=self.sizes,
            pairs=None if self.masked is None else Pairs("mask", 1, 2),
        )

    def load(self, root: Path | None) -> Dataset:
        """Reads everything. Raises `DataSetMissing`, `DataInvalid`."""
        own, tests = self._files(root)
        x, sizes = _read([*own, *tests], self.name)
        y = None
        if self.masked is not None:
            values, _ = _read([path.parents[1] / _LABEL / path.name for path in own], self.name, as_labels=True)
            if values.shape != x.shape:
                raise DataInvalid(f"{self.name}/{_LABEL} holds images of other sizes than {self.name}/{_IMAGE}")
            y = self.masked(values[:, 0])
        data = Dataset(self.name, inputs(x), y, self._splits(own, tests), sizes)
        told = data.description(self.source)
        if (told.shape, told.sizes) != ((1, *self.size), self.sizes):
            raise DataInvalid(f"{self.name} has grey images of {self.size[1]}×{self.size[0]} pixels; here are others")
        return data

    def _files(self, root: Path | None) -> tuple[list[Path], list[Path]]:
        """The images, and those of another folder to test on; each image's mask is there."""
        folder = self.name if self.masked is None else f"{self.name}/{_IMAGE}"
        own = self._in(root, folder)
        if self.masked is not None:
            labels = {path.name for path in self._in(root, f"{self.name}/{_LABEL}")}
            names = {path.name for path in own}
            if alone := sorted(labels ^ names):
                raise DataInvalid(f"{self.name} has {len(alone):,} images or labels without a partner: {alone[0]}")
        return own, self._in(root, self.test_on) if self.test_on is not None else []

    def _in(self, root: Path | None, folder: str) -> list[Path]:
        """The PNGs of a folder, by number where they have one (2 before 10)."""
        if root is None:
            raise DataSetMissing(self.name, f"BREGNAS_DATA is not set; set it to a folder that holds {folder}/*.png")
        found = sorted((root / folder).glob("*.png"), key=lambda path: (len(path.name), path.name))
        if not found:
            raise DataSetMissing(self.name, f"the folder BREGNAS_DATA lacks {folder}/*.png")
        return found

    def _splits(self, own: Sequence[Path], tests: Sequence[Path]) -> dict[str, Indices]:
        return official(len(own), len(tests), _tenth(len(own))) if tests else self.splitting(len(own))


def _read(paths: Sequence[Path], name: str, *, as_labels: bool = False) -> tuple[NDArray[Any], Indices | None]:
    from datasets.stack import File, stack  # Pillow, which takes long to import

    files = [File(f"{name}/{path.name}", path.read_bytes) for path in paths]
    with refusing(name):
        found = stack(files, MAX_BYTES, as_labels=as_labels)
    return found.x, found.sizes


def _tenth(count: int) -> int:
    return max(1, round(count / 10))


def _tenths(count: int) -> dict[str, Indices]:
    return seeded(count, _tenth(count), _tenth(count))


def _fifths(count: int) -> dict[str, Indices]:
    fifth = max(1, count // 5)
    return seeded(count, fifth, fifth)


def _contiguous(count: int) -> dict[str, Indices]:
    """Slices of a stack, of which neighbours look alike: the first two thirds train, then validation, then test."""
    test = max(1, round(count / 5))
    validation = max(1, round(2 * count / 15))
    if count < 3:
        raise DataInvalid(f"{count} slices cannot be split")
    order = np.arange(count, dtype=np.int64)
    return {
        TRAIN: order[: count - validation - test],
        VALIDATION: order[count - validation - test : count - test],
        TEST: order[count - test :],
    }


def _foreground(values: NDArray[Any]) -> Mask:
    """Numbered objects, or white on black, as class 1 on class 0."""
    return np.ascontiguousarray(values > 0).astype(np.uint8)


IMAGE_FOLDERS = (
    ImageFolder(
        name="bsd400",
        size=(180, 180),
        sizes=Sizes((180, 180), (512, 512), in_training=False),
        splitting=_tenths,
        test_on="set12",
        source=(
            "BSD400: 400 grey images of the Berkeley segmentation data set (Martin, Fowlkes, Tal, Malik 2001), "
            "non-commercial research; tested on the 12 images of Set12"
        ),
    ),
    ImageFolder(
        name="set12",
        size=(512, 512),
        sizes=Sizes((256, 256), (512, 512), in_training=True),
        splitting=_fifths,
        source="Set12: 12 grey images that denoisers are tested on, research",
    ),
    ImageFolder(
        name="membrane",
        size=(512, 512),
        splitting=_contiguous,
        masked=_foreground,
        source="ISBI 2012 challenge: 30 slices of electron microscopy, class 0 membrane and class 1 cells; research",
    ),
    ImageFolder(
        name="nuclei",
        size=(256, 256),
        splitting=_tenths,
        masked=_foreground,
        source="Data Science Bowl 2018 (BBBC038), corrected: grey microscopy images, class 1 nuclei; CC0",
    ),
)
