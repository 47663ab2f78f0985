"""An uploaded file, whatever its format, as a data set with what there is to say about it.

The canonical form in which uploads are kept is an npz of `x`, of `y` where there are answers or partners, and of
`sizes` where images differ in size: stored without compression and without times, so that the same data give the same
bytes.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from datasets import archive, idx, image_zip, masks, npz
from datasets.dataset import Dataset
from datasets.errors import DataInvalid, refusing
from datasets.layout import MAX_BYTES, Answers, Inputs, inputs
from datasets.recognise import HEAD, Format, named
from datasets.splits import NAMES, Indices, seeded, tenths

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
_ADVICE: Final = "send an .npz with x (and y), an IDX file (or .gz), or a zip of images"


@dataclass(frozen=True)
class Upload:
    """A file that was read, and what there is to say about how."""

    format: Format
    dataset: Dataset
    class_names: tuple[str, ...] | None
    warnings: tuple[str, ...]


def read(path: Path, name: str, max_bytes: int = MAX_BYTES) -> Upload:
    """Read a file of any accepted format, recognised by its content. Raises `DataInvalid`."""
    kind = recognise(path)
    if kind == "images":
        found = image_zip.read(path, max_bytes)
        return Upload(kind, _split(name, found.x, found.y, found.sizes), found.class_names, found.warnings)
    if kind == "idx":
        values = idx.read(path, max_bytes)
        if values.ndim == 1:
            raise DataInvalid(
                "the IDX file holds labels without images; one file is one upload: save images and labels together as "
                "an npz with x and y"
            )
        return Upload(kind, _split(name, inputs(values)), None, ())
    dataset = _split(name, *npz.read_all(path, max_bytes))
    said = (masks.read_as(dataset.y, "y"),) if dataset.y is not None and dataset.y.ndim > 2 else ()
    return Upload(kind, dataset, None, said)


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
    data = upload.dataset
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as written:
        for name, array in (("x", data.x), ("y", data.y), ("sizes", data.sizes)):
            if array is not None:
                info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
                with written.open(info, "w") as file:
                    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)


def load(path: Path, name: str) -> Dataset:
    """The data set of a canonical npz, split as it was when it was uploaded. Raises `DataInvalid`."""
    return _split(name, *npz.read_all(path))


def _split(name: str, x: Inputs, y: Answers | None = None, sizes: Indices | None = None) -> Dataset:
    if len(x) < len(NAMES):
        held = "one sample" if len(x) == 1 else f"{len(x)} samples"
        raise DataInvalid(f"the file holds {held}; at least {len(NAMES)} are needed, one for each split")
    if x.min() == x.max():
        raise DataInvalid(f"every value of x is {x.flat[0]:g}; nothing can be learned from a constant")
    labels = y if y is not None and y.ndim == 1 else None
    return Dataset(name, x, y, seeded(len(x), *tenths(len(x)), labels=labels), sizes)
