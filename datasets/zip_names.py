"""Which files of a zip are meant as data, and in which folder does each lie?

Names are checked although nothing is extracted: one that leads out of its folder, however it is encoded, means that
the archive was made to harm. What macOS and Windows leave behind is passed over.
"""

import re
import stat
import zipfile
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from datasets.archive import check_member
from datasets.errors import DataInvalid, printable

MAX_FILES: Final = 65_535  # what a zip without zip64 can hold
MAX_FILE: Final = 64 << 20  # bytes of one file, unpacked
MAX_TOTAL: Final = 2 << 30  # bytes of all files, unpacked
_LONGEST: Final = 400
_DECODINGS: Final = 4  # %2e, %252e, …
_JUNK: Final = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Member:
    """A file of the zip: its folder ('' for none) and its name without the folders that all files share."""

    info: zipfile.ZipInfo
    folder: str
    name: str

    @property
    def path(self) -> str:
        """How it is named to people."""
        return printable(f"{self.folder}/{self.name}" if self.folder else self.name, 80)

    @property
    def stem(self) -> str:
        """The name without what stands after its last dot."""
        return self.name.rpartition(".")[0] or self.name


def members(archive: zipfile.ZipFile, name: str) -> list[Member]:
    """The files in the order of their names, at most one folder deep. Raises `DataInvalid`."""
    found: dict[tuple[str, ...], zipfile.ZipInfo] = {}
    total = 0
    for info in archive.infolist():
        parts = _parts(info, name)
        if not parts or info.is_dir() or _is_junk(parts):
            continue
        check_member(info, name)
        if parts in found:
            raise DataInvalid(f"{name} holds '{printable('/'.join(parts), 80)}' twice")
        total += info.file_size
        if info.file_size > MAX_FILE or total > MAX_TOTAL:
            raise DataInvalid(
                f"{name} would unpack to {total:,} bytes or more ('{printable('/'.join(parts), 80)}' alone to "
                f"{info.file_size:,}); at most {MAX_FILE:,} a file and {MAX_TOTAL:,} together are read"
            )
        found[parts] = info
    if not found:
        raise DataInvalid(f"{name} holds no files; zip images, or write an npz with numpy.savez")
    return _placed(found, name)


def _placed(found: dict[tuple[str, ...], zipfile.ZipInfo], name: str) -> list[Member]:
    shared = 0
    while all(len(parts) > shared + 1 for parts in found) and len({parts[shared] for parts in found}) == 1:
        shared += 1
    # The last shared folder may say what the files are: `label` alone is no set of images.
    last = next(iter(found))[shared - 1] if shared else ""
    placed = []
    for parts, info in sorted(found.items(), key=lambda item: item[0]):
        rest = parts[shared:]
        if len(rest) > 2:
            raise DataInvalid(
                f"{name} holds '{printable('/'.join(parts), 80)}', folders within folders; put the images into one "
                "folder, or into one folder a class, or into image/ and label/"
            )
        placed.append(Member(info, rest[0] if len(rest) == 2 else last if shared else "", rest[-1]))
    flat = [member for member in placed if not member.folder]
    if flat and len(flat) < len(placed):
        raise DataInvalid(
            f"{name} holds files beside folders ('{flat[0].path}' lies in none); put every image into a folder, or none"
        )
    return placed


def _parts(info: zipfile.ZipInfo, archive: str) -> tuple[str, ...]:
    given = info.orig_filename
    shown = printable(given, 80)
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataInvalid(f"{archive} holds the symbolic link '{shown}'; zip the files themselves")
    decoded = given
    for _ in range(_DECODINGS):
        decoded = unquote(decoded)
    for text in (given, decoded):
        if text.startswith("/") or "\\" in text or _DRIVE.match(text) or ".." in text.split("/"):
            raise DataInvalid(
                f"{archive} holds the name '{shown}', which leads out of its folder; zip the folder itself, with "
                "names relative to it and / between folders"
            )
        if len(text) > _LONGEST or _CONTROL.search(text):
            raise DataInvalid(f"{archive} holds the name '{shown}', which is too long or holds control characters")
    return tuple(part for part in given.split("/") if part not in ("", "."))


def _is_junk(parts: tuple[str, ...]) -> bool:
    return "__MACOSX" in parts or parts[-1].lower() in _JUNK or parts[-1].startswith("._")
