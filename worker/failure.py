"""How a trainer ends before its time: in words for the user, or because it was asked to, or its machine is full."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from spec import SearchSpec
from spec.method import Lasso

_FULL = (errno.ENOSPC, errno.EDQUOT)


class SearchFailed(Exception):
    """The search cannot succeed: a code for programs, and words that say what the user can change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class DiskFull(SearchFailed):
    """The machine has no room. Not the search's fault: its worker waits for room, and starts the trainer again."""

    CODE = "disk_full"

    def __init__(self) -> None:
        super().__init__(self.CODE, "the disk of the worker is full; free some space there, and the search goes on")


class Stopped(Exception):
    """The trainer was asked to stop, and has written a checkpoint."""


@contextmanager
def needs_room() -> Iterator[None]:
    """Raise `DiskFull` for what the system says where a disk is full, also in the words of a library in Rust."""
    try:
        yield
    except Exception as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
        if number not in _FULL:
            raise
        raise DiskFull from error


def died(layer: str, spec: SearchSpec) -> SearchFailed:
    """A layer fell asleep entirely: nothing can pass any more."""
    how = spec.method
    advice = f"make method.lam smaller (it is {how.start_lam:g}), or method.lr"
    if isinstance(how, Lasso):
        advice = f"make method.cut smaller (it is {how.threshold:g}), or method.lam (it is {how.start_lam:g})"
    return SearchFailed(
        "layer_died", f"no neuron of {layer} is active any more, so nothing passes through the network; {advice}"
    )
