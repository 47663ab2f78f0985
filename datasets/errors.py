"""What can be wrong with a data set, in words for the one who asked for it.

The texts name files by their last name or relative to `BREGNAS_DATA`, never by the server's full paths, and hold
printable characters only, so that an answer may show them as they are.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LONGEST_NAME = 80  # what is quoted of a name; a longer one is not a typing error
LONGEST_REASON = 200


def printable(text: str, limit: int = LONGEST_REASON) -> str:
    """`text` on one line of at most `limit` characters, what cannot be encoded or printed escaped."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


class DataError(Exception):
    """The base of this package's errors; `code` is stable, the text is for people."""

    code = "dataset_error"


class DataSetUnknown(DataError):
    """No data set has this name; `nearest` are known names like it, the nearest first."""

    code = "dataset_unknown"

    def __init__(self, name: str, nearest: Sequence[str], known: Sequence[str]) -> None:
        self.name = name
        self.nearest = tuple(nearest)
        advice = f"did you mean {self.nearest[0]!r}?" if self.nearest else f"known are {', '.join(known)}"
        super().__init__(f"no data set is named '{printable(name, LONGEST_NAME)}'; {advice}")


class DataSetMissing(DataError):
    """The data set is known but its files are not on this machine; `reason` says what to install or to place."""

    code = "dataset_missing"

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"the data set '{name}' is not on this machine: {reason}")


class DataInvalid(DataError):
    """A file or an array that is not what it must be; the text says what is wrong and what to change."""

    code = "dataset_invalid"


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Whatever the block raises while it reads the file `name` leaves it as one `DataInvalid`."""
    try:
        yield
    except DataInvalid:
        raise
    except MemoryError as problem:
        raise DataInvalid(f"{printable(name, LONGEST_NAME)} does not fit into memory") from problem
    except OSError as problem:
        # gzip's and zipfile's own texts are kept; the system's would hold the server's path, so only its words are.
        reason = printable(problem.strerror or str(problem))
        raise DataInvalid(f"{printable(name, LONGEST_NAME)} cannot be read ({reason})") from problem
    except Exception as problem:
        # A hostile file makes zipfile, gzip, zlib and numpy raise nearly anything; none of it is a fault of ours.
        reason = printable(f"{type(problem).__name__}: {problem}")
        raise DataInvalid(f"{printable(name, LONGEST_NAME)} cannot be read ({reason})") from problem
