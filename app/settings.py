"""How is the API set up? What only it needs, besides the places that `store.settings` names."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from store.queue import QUEUES
from store.settings import LOG_LEVELS, one_of
from store.settings import Settings as StoreSettings

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
    """The device of searches that name none, and the queue in which they wait for its workers: `cpu` or `cuda`."""
    log_level: str = "info"
    upload_limit: int = 2 * 2**30
    """Bytes of the largest data set that may be uploaded."""
    require_key: bool = False
    """Whether a key is asked for: always where others than this machine reach the address."""
    hosts: tuple[str, ...] = ()
    """Names besides the loopback address by which this service may be asked where it asks for no key."""

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read HOST, PORT, BREGNAS_MEMORY_LIMIT, BREGNAS_UPLOAD_LIMIT, BREGNAS_QUEUE, BREGNAS_LOG_LEVEL and what
        `store.settings` reads, BREGNAS_REQUIRE_KEY and BREGNAS_HOSTS too.

        Raises ValueError that names the variable and says what to change.
        """
        environment = os.environ
        host = environment.get("HOST") or "127.0.0.1"
        forced = one_of("BREGNAS_REQUIRE_KEY", ("0", "1")) == "1"
        return cls(
            store=StoreSettings.from_environment(),
            host=host,
            port=_port(environment),
            memory_limit=_size(environment, "BREGNAS_MEMORY_LIMIT", "8GiB"),
            upload_limit=_size(environment, "BREGNAS_UPLOAD_LIMIT", "2GiB"),
            queue=one_of("BREGNAS_QUEUE", QUEUES),
            log_level=one_of("BREGNAS_LOG_LEVEL", LOG_LEVELS),
            require_key=forced or not is_loopback(host),
            hosts=_hosts(environment),
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address, given as a name or a number without a port."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hosts(environment: Mapping[str, str]) -> tuple[str, ...]:
    given = [name.strip().lower() for name in environment.get("BREGNAS_HOSTS", "").split(",") if name.strip()]
    for name in given:
        if not re.fullmatch(r"[a-z0-9._-]{1,253}|[0-9a-f:]{2,45}", name):
            raise ValueError(f"BREGNAS_HOSTS={name} is no name; give names without ports, with commas between them")
    return tuple(given)


def _port(environment: Mapping[str, str]) -> int:
    given = environment.get("PORT") or "8000"
    if not re.fullmatch(r"[0-9]{1,5}", given) or int(given) > 65_535:
        raise ValueError(f"PORT={given} is not a port; give a number from 0 (any free one) to 65535")
    return int(given)


def _size(environment: Mapping[str, str], name: str, default: str) -> int:
    given = environment.get(name) or default
    found = re.fullmatch(r"([0-9]{1,20}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,3})", given.strip())
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or float(found[1]) <= 0:
        raise ValueError(f"{name}={given} is not a size; give bytes or a size like 8GiB or 500MB")
    return int(float(found[1]) * unit)
