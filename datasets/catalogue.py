"""Which data sets are there by name, what they hold, and where they come from.

`describe` costs milliseconds (declared facts and files' headers) and imports nothing heavy: the API asks it at every
POST. `load` reads the values. `root` is the folder `BREGNAS_DATA`, or None where it is not set.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from datasets.dataset import Dataset, Description
from datasets.errors import LONGEST_NAME, DataError, DataSetUnknown
from datasets.folders import FOLDERS
from datasets.image_folders import IMAGE_FOLDERS
from datasets.packaged import PACKAGED


class Entry(Protocol):
    """A named set. Both calls raise `DataSetMissing` where files are absent, `DataInvalid` where they are wrong."""

    @property
    def name(self) -> str:
        """The name in the catalogue."""

    def describe(self, root: Path | None) -> Description:
        """Cheap: no values are read."""

    def load(self, root: Path | None) -> Dataset:
        """Reads everything."""


@dataclass(frozen=True)
class Listed:
    """One line of the listing: the description where the set can be used, the reason where it cannot."""

    name: str
    description: Description | None
    reason: str | None

    @property
    def available(self) -> bool:
        """Whether a search can use it on this machine."""
        return self.description is not None


_ENTRIES: dict[str, Entry] = {entry.name: entry for entry in (*PACKAGED, *FOLDERS, *IMAGE_FOLDERS)}


def names() -> tuple[str, ...]:
    """The known names, whether their files are here or not."""
    return tuple(_ENTRIES)


def describe(name: str, root: Path | None) -> Description:
    """What the set holds, in milliseconds. Raises `DataSetUnknown`, `DataSetMissing`, `DataInvalid`."""
    return _entry(name).describe(root)


def load(name: str, root: Path | None) -> Dataset:
    """The set with its values. Raises `DataSetUnknown`, `DataSetMissing`, `DataInvalid`."""
    return _entry(name).load(root)


def listing(root: Path | None) -> list[Listed]:
    """Every known set with its description, or with the reason why it cannot be used here."""
    return [_listed(entry, root) for entry in _ENTRIES.values()]


def _listed(entry: Entry, root: Path | None) -> Listed:
    try:
        return Listed(entry.name, entry.describe(root), None)
    except DataError as problem:
        return Listed(entry.name, None, str(problem))


def _entry(name: str) -> Entry:
    entry = _ENTRIES.get(name)
    if entry is None:
        near = get_close_matches(name[:LONGEST_NAME].lower(), names(), n=3)
        raise DataSetUnknown(name, near, names())
    return entry
