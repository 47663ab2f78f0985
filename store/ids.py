"""How is a thing named?

An id is a prefix and a UUIDv7 in hex, `srch_0192…`: 48 bits of Unix milliseconds, 12 bits of their fraction, 62
random bits. The time stands first, so ids sort by creation and a list can be paged by its id alone, without a look
at the row the cursor named (which may be gone).

Threads: `new_id` may be called from any thread. Within one process ids rise strictly, also where two fall into the
same moment or a clock steps back by less than a second; between processes they follow the clocks.
"""

import re
import secrets
import threading
import time

_FRACTIONS = 4096  # 12 bits: a quarter of a microsecond
_STEP_BACK = 1000 * _FRACTIONS  # one second

_lock = threading.Lock()
_last = 0


def new_id(prefix: str, seconds: float | None = None) -> str:
    """Make `prefix_<32 hex>` for the moment `seconds` (Unix time; by default this machine's clock)."""
    return f"{prefix}_{_uuid7(time.time() if seconds is None else seconds):032x}"


def is_id(text: str, prefix: str) -> bool:
    """Tell whether `text` has the form of an id with this prefix; whether it exists is another question."""
    return re.fullmatch(rf"{re.escape(prefix)}_[0-9a-f]{{12}}7[0-9a-f]{{3}}[89ab][0-9a-f]{{15}}", text) is not None


def _uuid7(seconds: float) -> int:
    moment = _rising(int(seconds * 1000 * _FRACTIONS))
    milliseconds, fraction = divmod(moment, _FRACTIONS)
    return (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)


def _rising(moment: int) -> int:
    global _last
    with _lock:
        if moment <= _last < moment + _STEP_BACK:
            moment = _last + 1
        _last = moment
    return moment
