"""Reads numpy's npz: members `x` and, if there are answers, `y` (or `image` and `label`).

A third, `sizes` (N, 2), says height and width of images that do not fill their canvas from its upper left corner.

An npz is a zip of npy files. Everything a hostile file could lie about is read and checked before an array is made:
the size of the zip's directory, the members' names, compression and sizes, each npy header (a numeric dtype, a shape
whose bytes are exactly the member's), the total. Then `numpy.lib.format.read_array(allow_pickle=False)`, which is
what `numpy.load` does for each member, on the very same open file. Whatever goes wrong becomes one `DataInvalid`.
"""

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets import archive, masks
from datasets.errors import DataInvalid, printable, refusing
from datasets.layout import KINDS, MAX_BYTES, Answers, Inputs, answers, footprint, inputs
from datasets.splits import Indices

ROLES: Final = {"x": "x", "image": "x", "y": "y", "label": "y", "sizes": "sizes"}
LONGEST_HEADER: Final = 1024  # numpy writes 118 bytes for these dtypes; longer text would go through a parser
LONGEST_DIRECTORY: Final = 16 << 10  # of the zip; two members take about 100 bytes


@dataclass(frozen=True)
class Member:
    """One array as its npy header declares it, checked against the member's size."""

    name: str  # in the zip
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def header(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Member]:
    """The members by role, `x` always and `y` if there; no values are read. Raises `DataInvalid`."""
    with refusing(path.name), _opened(path, max_bytes) as opened:
        return _members(opened, path.name, max_bytes)


def read(path: Path, max_bytes: int = MAX_BYTES) -> tuple[Inputs, Answers | None]:
    """`x` as (N, C, H, W) or (N, F), and `y` as labels (N,), targets (N, T) or None; the rule is in `layout`.

    `max_bytes` bounds the arrays in memory; the peak while they are converted is about three times the arrays.
    Raises `DataInvalid`.
    """
    x, y, sizes = read_all(path, max_bytes)
    if y is not None and y.ndim > 2:
        raise DataInvalid(f"{path.name} has y of shape {y.shape}; (N,) for labels, (N,) or (N, T) for targets")
    if sizes is not None:
        raise DataInvalid(f"{path.name} holds images of different sizes; one is needed here")
    return x, y


def read_all(path: Path, max_bytes: int = MAX_BYTES) -> tuple[Inputs, Answers | None, Indices | None]:
    """As `read`; y may also be masks (N, H, W) or images (N, C, H, W), and `sizes` (N, 2) comes last, where it says
    that images differ."""
    with refusing(path.name), _opened(path, max_bytes) as opened:
        members = _members(opened, path.name, max_bytes)
        x = inputs(_array(opened, members["x"]))
        sizes = _sizes(_array(opened, members["sizes"]), x) if "sizes" in members else None
        if "y" not in members:
            return x, None, sizes
        y = _array(opened, members["y"])
        return x, answers(y, len(x)) if y.ndim < 3 else masks.partners(y, x), sizes


def _sizes(sizes: NDArray[Any], x: Inputs) -> Indices | None:
    whole = sizes.dtype.kind in "iu" and x.ndim == 4 and sizes.shape == (len(x), 2)
    if not whole or sizes.min() < 1 or (sizes.max(0) > x.shape[2:]).any():
        raise DataInvalid(
            f"sizes is {sizes.dtype} of shape {sizes.shape}; for images it holds the height and width of each, whole "
            "numbers (N, 2) that fit into x"
        )
    return None if (sizes == x.shape[2:]).all() else np.ascontiguousarray(sizes.astype(np.int64))


@contextmanager
def _opened(path: Path, max_bytes: int) -> Iterator[zipfile.ZipFile]:
    with path.open("rb") as file:
        if file.read(len(archive.START)) != archive.START:
            raise DataInvalid(f"{path.name} is not an npz file: it is no zip; write it with numpy.savez")
        size = file.seek(0, io.SEEK_END)
    if size > max_bytes + LONGEST_DIRECTORY + 2 * LONGEST_HEADER:
        raise DataInvalid(f"{path.name} has {size:,} bytes; at most {max_bytes:,} are read")
    with archive.opened(path, LONGEST_DIRECTORY, "an npz of x and y") as opened:
        yield opened


def _members(opened: zipfile.ZipFile, name: str, max_bytes: int) -> dict[str, Member]:
    found: dict[str, Member] = {}
    total = 0
    for info in opened.infolist():
        key = info.filename.removesuffix(".npy")
        role = ROLES.get(key)
        if role is None:
            raise DataInvalid(f"{name} holds '{printable(key, 40)}'; its members are x and y, or image and label")
        if role in found:
            raise DataInvalid(f"{name} holds {role} twice, as '{found[role].name}' and '{info.filename}'")
        member = _member(opened, info, name)
        total += footprint(member.shape, member.dtype.itemsize)
        if total > max_bytes:
            raise DataInvalid(f"{name} needs {total:,} bytes in memory; at most {max_bytes:,} are read")
        found[role] = member
    if "x" not in found:
        raise DataInvalid(f"{name} holds no x; its members are x and y, or image and label")
    return found


def _member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Member:
    what = f"{info.filename} in {name}"
    if info.flag_bits & 0x1:
        raise DataInvalid(f"{what} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataInvalid(f"{what} is compressed by a method that numpy does not write; use numpy.savez_compressed")
    with opened.open(info) as file:
        head = io.BytesIO(file.read(LONGEST_HEADER + 12))
    version = np.lib.format.read_magic(head)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(head, max_header_size=LONGEST_HEADER)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(head, max_header_size=LONGEST_HEADER)
    else:
        raise DataInvalid(f"{what} has the npy version {version}; 1.0 and 2.0 are read")
    if dtype.kind not in KINDS:
        raise DataInvalid(
            f"{what} has the dtype {printable(str(dtype), 40)}; booleans, integers and floats are read, never objects"
        )
    if not 1 <= len(shape) <= 4 or min(shape) < 1:
        raise DataInvalid(f"{what} has the shape {printable(str(shape), 60)}; 1 to 4 axes with values are read")
    declared = head.tell() + dtype.itemsize * math.prod(shape)
    if declared != info.file_size:
        raise DataInvalid(f"{what} has {info.file_size:,} bytes, its header says {declared:,}: the file is damaged")
    return Member(info.filename, dtype, shape)


def _array(opened: zipfile.ZipFile, member: Member) -> NDArray[Any]:
    with opened.open(member.name) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False, max_header_size=LONGEST_HEADER)
        return array
