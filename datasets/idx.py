"""Reads IDX files, the format of MNIST, plain or gzipped.

Two zero bytes, a byte for the type, a byte for the number of axes, each axis as a big-endian uint32, the values
big-endian in C order. The header says how many bytes n follow; at most n + 1 are read, so a file that goes on for
ever costs nothing. Whatever is wrong becomes one `DataInvalid`.
Source: http://yann.lecun.com/exdb/mnist/ (section "File formats").
"""

import gzip
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataInvalid, refusing
from datasets.layout import MAX_BYTES, footprint

DTYPES: Final = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES: Final = 4
GZIP: Final = b"\x1f\x8b"
CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Header:
    """What an IDX file says of itself: the stored dtype (big-endian) and the shape."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the values, without the header."""
        return self.dtype.itemsize * math.prod(self.shape)


def header(path: Path, max_bytes: int = MAX_BYTES) -> Header:
    """The header alone, checked; the values are not touched. Raises `DataInvalid`."""
    with refusing(path.name), _opened(path) as file:
        return _header(file, path.name, max_bytes)


def read(path: Path, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """The array, in the machine's byte order and writable. Raises `DataInvalid`.

    `max_bytes` bounds the array in memory; a header that claims more is refused before anything is read.
    """
    with refusing(path.name), _opened(path) as file:
        head = _header(file, path.name, max_bytes)
        values = _at_most(file, head.nbytes + 1)
        if len(values) < head.nbytes:
            raise DataInvalid(
                f"{path.name} is cut short: its header promises {head.nbytes:,} bytes of values, {len(values):,} follow"
            )
        if len(values) > head.nbytes:
            raise DataInvalid(f"{path.name} goes on after the {head.nbytes:,} bytes of values its header promises")
        array = np.frombuffer(values, dtype=head.dtype).reshape(head.shape)
        return array.astype(head.dtype.newbyteorder("="), copy=False)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        zipped = file.read(len(GZIP)) == GZIP
        file.seek(0)
        if not zipped:
            yield file
            return
        with gzip.GzipFile(fileobj=file, mode="rb") as unzipped:
            yield cast(BinaryIO, unzipped)


def _header(file: BinaryIO, name: str, max_bytes: int) -> Header:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataInvalid(f"{name} is not an IDX file: it does not begin with two zero bytes, a type and a rank")
    code, axes = magic[2], magic[3]
    if code not in DTYPES:
        known = ", ".join(f"0x{known:02X}" for known in DTYPES)
        raise DataInvalid(f"{name} has the IDX type 0x{code:02X}; known are {known}")
    if not 1 <= axes <= MAX_AXES:
        raise DataInvalid(f"{name} has {axes} axes; 1 to {MAX_AXES} are read")
    lengths = file.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise DataInvalid(f"{name} ends inside its header")
    head = Header(np.dtype(DTYPES[code]), struct.unpack(f">{axes}I", lengths))
    if 0 in head.shape:
        raise DataInvalid(f"{name} has the shape {head.shape} and thus no values")
    needed = footprint(head.shape, head.dtype.itemsize)
    if needed > max_bytes:
        raise DataInvalid(f"{name} has the shape {head.shape}, {needed:,} bytes; at most {max_bytes:,} are read")
    return head


def _at_most(file: BinaryIO, count: int) -> bytearray:
    """Up to `count` bytes; memory grows with what is there, not with what is asked for."""
    values = bytearray()
    while len(values) < count:
        chunk = file.read(min(CHUNK, count - len(values)))
        if not chunk:
            break
        values += chunk
    return values
