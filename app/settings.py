"""How is the API set up? What only it needs, besides the places that `store.settings` names."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from store.queue import QUEUES
from store.settings import Settings as StoreSettings

LOOPBACK = ("127.0.0.1", "::1", "localhost")

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class Settings:
    """`memory_limit` is in bytes: a search that would take more, by closed-form estimate, is refused."""

    store: StoreSettings
    host: str = "127.0.0.1"
    port: int = 8000
    memory_limit: int = 8 * 2**30
    queue: str = "cpu"
    """Where accepted searches wait: for workers on CPUs, or on GPUs (`cuda`)."""
    log_level: str = "info"

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read HOST, PORT, BREGNAS_MEMORY_LIMIT, BREGNAS_QUEUE, BREGNAS_LOG_LEVEL and what `store.settings` reads.

        Raises ValueError that names the variable and says what to change.
        """
        environment = os.environ
        return cls(
            store=StoreSettings.from_environment(),
            host=environment.get("HOST") or "127.0.0.1",
            port=_port(environment),
            memory_limit=_memory_limit(environment),
            queue=_one_of(environment, "BREGNAS_QUEUE", QUEUES),
            log_level=_one_of(environment, "BREGNAS_LOG_LEVEL", ("info", "debug", "warning", "error")),
        )


def _port(environment: Mapping[str, str]) -> int:
    given = environment.get("PORT") or "8000"
    if not re.fullmatch(r"[0-9]{1,5}", given) or int(given) > 65_535:
        raise ValueError(f"PORT={given} is not a port; give a number from 0 (any free one) to 65535")
    return int(given)


def _memory_limit(environment: Mapping[str, str]) -> int:
    given = environment.get("BREGNAS_MEMORY_LIMIT") or "8GiB"
    found = re.fullmatch(r"([0-9]{1,20}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,3})", given.strip())
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or float(found[1]) <= 0:
        raise ValueError(f"BREGNAS_MEMORY_LIMIT={given} is not a size; give bytes or a size like 8GiB or 500MB")
    return int(float(found[1]) * unit)


def _one_of(environment: Mapping[str, str], name: str, known: Sequence[str]) -> str:
    given = environment.get(name) or known[0]
    if given not in known:
        raise ValueError(f"{name}={given} is not known; give one of {', '.join(known)}")
    return given
