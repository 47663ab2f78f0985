"""Opens a zip that may be hostile: its directory is bounded before `zipfile` takes it into memory, one object an entry.

Nothing is ever extracted to a path that the archive names; members are read, by their declared size at most.
"""

import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from datasets.errors import DataInvalid, printable

START: Final = b"PK\x03\x04"
END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES: Final = 20
METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def opened(path: Path, longest_directory: int, holding: str) -> Iterator[zipfile.ZipFile]:
    """The zip at `path`, which ends where its directory says; `holding` says in words what it should hold."""
    with path.open("rb") as file:
        _check_directory(file, path.name, longest_directory, holding)
        with zipfile.ZipFile(file) as archive:
            yield archive


def check_member(info: zipfile.ZipInfo, archive: str) -> None:
    """Refuse what cannot be read, or only at a price: passwords and unusual compression."""
    what = f"{printable(info.filename, 80)} in {archive}"
    if info.flag_bits & 0x1:
        raise DataInvalid(f"{what} is encrypted; zip it without a password")
    if info.compress_type not in METHODS:
        raise DataInvalid(f"{what} is compressed by an unusual method; use deflate (what zip does) or none")


def content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member's bytes. `ZipFile.read` would unpack all that follows, however little the directory promises."""
    with archive.open(info) as file:
        return file.read(info.file_size)


def _check_directory(file: BinaryIO, name: str, longest: int, holding: str) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_BYTES - _ZIP64_LOCATOR_BYTES))
    tail = file.read()
    end = tail[-_END_BYTES:]
    if len(end) < _END_BYTES or not end.startswith(END):
        raise DataInvalid(f"{name} is cut short, or something follows after its zip directory; zip the files anew")
    if tail.startswith(_ZIP64_LOCATOR):
        raise DataInvalid(f"{name} is a zip64 archive, which {holding} does not need; send at most 65,535 files")
    directory, begins = struct.unpack("<II", end[12:20])
    if directory > longest:
        raise DataInvalid(f"{name} has a zip directory of {directory:,} bytes; {holding} needs at most {longest:,}")
    if directory + begins + _END_BYTES != size:
        raise DataInvalid(f"{name} is not a plain zip: other bytes stand before or within it; zip the files anew")
    file.seek(0)
