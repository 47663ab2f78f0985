"""Where things are kept: the settings that the API and the worker share, read from the environment.

What is malformed is said at the start, by the name of its variable, and not where it is used first.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from store.database import default_url, full_url

LOG_LEVELS: Final = ("info", "debug", "warning", "error")
_DATABASES: Final = ("sqlite", "postgresql+psycopg")
_STORES: Final = ("file", "s3", "gs", "az")


@dataclass(frozen=True)
class Settings:
    """`home` holds what the service stores; `data` the well-known data sets, where the machine has them."""

    home: Path
    data: Path | None
    database_url: str
    artifacts: str

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read BREGNAS_HOME, BREGNAS_DATA, BREGNAS_DATABASE_URL and BREGNAS_ARTIFACTS.

        Raises ValueError that names the variable and says what to change.
        """
        default = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "bregnas"
        home = Path(os.environ.get("BREGNAS_HOME") or default).expanduser().resolve()
        try:
            home.mkdir(parents=True, exist_ok=True)
            if not os.access(home, os.W_OK | os.X_OK):
                raise PermissionError(13, "it cannot be written")
        except OSError as error:
            raise ValueError(f"BREGNAS_HOME={home} cannot be used as a folder: {error.strerror}") from error
        return cls(
            home=home,
            data=data_folder(),
            database_url=_database(os.environ.get("BREGNAS_DATABASE_URL") or default_url(home)),
            artifacts=_artifacts(os.environ.get("BREGNAS_ARTIFACTS") or str(home / "artifacts")),
        )


def data_folder() -> Path | None:
    """The folder of well-known data sets, where BREGNAS_DATA names one; ValueError where it is no folder."""
    data = os.environ.get("BREGNAS_DATA")
    if data and not Path(data).expanduser().is_dir():
        raise ValueError(f"BREGNAS_DATA={data} is not a folder; leave it out or name the folder of data sets")
    return Path(data).expanduser().resolve() if data else None


def one_of(name: str, known: Sequence[str]) -> str:
    """A word of the environment, the first where it is not set; ValueError for one that is not known."""
    given = os.environ.get(name) or known[0]
    if given not in known:
        raise ValueError(f"{name}={given} is not known; give one of {', '.join(known)}")
    return given


def number(name: str, default: float) -> float:
    """A number above 0 and below a million of the environment; ValueError for anything else."""
    given = os.environ.get(name) or str(default)
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ValueError(f"{name}={given} is not a number above 0 (and below a million)")
    return value


def whole(name: str, default: int, most: int) -> int:
    """A whole number from 1 to `most` of the environment; ValueError for anything else."""
    given = os.environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", given) or not 1 <= int(given) <= most:
        raise ValueError(f"{name}={given} is not a whole number from 1 to {most}")
    return int(given)


def _database(url: str) -> str:
    """The URL, if it names a kind of database that is served. It is not shown: it may hold a password."""
    try:
        known = make_url(full_url(url))
        if known.drivername in _DATABASES and (known.database or known.drivername != "sqlite"):
            return url
    except (ArgumentError, ValueError):
        pass
    raise ValueError(
        "BREGNAS_DATABASE_URL names no database that can be used; give postgresql://USER:PASSWORD@HOST/NAME, or "
        "sqlite:////FOLDER/FILE, or leave it out"
    )


def _artifacts(place: str) -> str:
    scheme, separator, _ = place.partition("://")
    if separator and scheme not in _STORES:
        raise ValueError(
            f"BREGNAS_ARTIFACTS={place} is neither a folder nor s3://BUCKET, gs://BUCKET or az://CONTAINER"
        )
    return place
