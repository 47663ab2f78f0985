"""An uploaded file, whatever its format, as a data set with what there is to say about it.

The canonical form in which uploads are kept is an npz of `x` and, where there are answers or pairs, `y`: stored
without compression and without times, so that the same data give the same bytes.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets import archive, idx, image_zip, npz
from datasets.dataset import Dataset
from datasets.errors import DataInvalid, refusing
from datasets.image_zip import PairKind
from datasets.layout import MAX_BYTES, Inputs, inputs
from datasets.recognise import HEAD, Format, named
from datasets.splits import NAMES, seeded, tenths

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
_ADVICE: Final = "send an .npz with x (and y), an IDX file (or .gz), or a zip of images"


@dataclass(frozen=True)
class Upload:
    """A file that was read. `pairs` (N, C, H, W) are kept beside x; no task that is offered uses them."""

    format: Format
    dataset: Dataset
    pairs: Inputs | None
    pair_kind: PairKind | None
    class_names: tuple[str, ...] | None
    warnings: tuple[str, ...]


def read(path: Path, name: str, max_bytes: int = MAX_BYTES) -> Upload:
    """Read a file of any accepted format, recognised by its content. Raises `DataInvalid`."""
    kind = recognise(path)
    if kind == "images":
        found = image_zip.read(path, max_bytes)
        pairs = None if found.pairs is None else inputs(found.pairs)
        dataset = _split(name, inputs(found.x), found.labels)
        return Upload(kind, dataset, pairs, found.pair_kind, found.class_names, found.warnings)
    if kind == "idx":
        values = idx.read(path, max_bytes)
        if values.ndim == 1:
            raise DataInvalid(
                "the IDX file holds labels without images; one file is one upload: save images and labels together as "
                "an npz with x and y"
            )
        return Upload(kind, _split(name, inputs(values), None), None, None, None, ())
    x, y, pairs = npz.read_pairs(path, max_bytes)
    pair_kind: PairKind | None = None
    if pairs is not None:
        pair_kind = "mask" if pairs.shape[1] == 1 and _few(pairs) else "image"
    return Upload(kind, _split(name, x, y), pairs, pair_kind, None, ())


def recognise(path: Path) -> Format:
    """What format a file has, by its content; raises `DataInvalid`, which says what it is instead."""
    with refusing(path.name), path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(archive.START):
        return "npz" if _holds_arrays(path) else "images"
    if head[:2] in (b"\x1f\x8b", b"\0\0"):
        return "idx"
    raise DataInvalid(f"the file is {named(head)}; {_ADVICE}")


def _holds_arrays(path: Path) -> bool:
    try:
        with refusing(path.name), archive.opened(path, npz.LONGEST_DIRECTORY, "an npz") as opened:
            return any(name.endswith(".npy") for name in opened.namelist())
    except DataInvalid:
        return False  # what is wrong, or only too much for an npz, the reader of images says


def save(upload: Upload, path: Path) -> None:
    """Write the canonical npz."""
    answers = upload.pairs if upload.pairs is not None else upload.dataset.y
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as written:
        for name, array in (("x", upload.dataset.x), ("y", answers)):
            if array is not None:
                info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
                with written.open(info, "w") as file:
                    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)


def load(path: Path, name: str) -> Dataset:
    """The data set of a canonical npz, split as it was when it was uploaded. Raises `DataInvalid`."""
    x, y, _ = npz.read_pairs(path)
    return _split(name, x, y)


def _split(name: str, x: Inputs, y: NDArray[Any] | None) -> Dataset:
    if len(x) < len(NAMES):
        held = "one sample" if len(x) == 1 else f"{len(x)} samples"
        raise DataInvalid(f"the file holds {held}; at least {len(NAMES)} are needed, one for each split")
    if x.min() == x.max():
        raise DataInvalid(f"every value of x is {x.flat[0]:g}; nothing can be learned from a constant")
    labels = y if y is not None and y.ndim == 1 else None
    return Dataset(name, x, y, seeded(len(x), *tenths(len(x)), labels=labels))


def _few(pairs: Inputs) -> bool:
    return pairs.dtype == np.uint8 and len(np.unique(pairs)) <= image_zip.MOST_MASK_VALUES
