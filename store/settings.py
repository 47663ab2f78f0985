"""Where things are kept: the settings that the API and the worker share, read from the environment."""

import os
from dataclasses import dataclass
from pathlib import Path


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

        Raises ValueError that names the variable where a folder cannot be used.
        """
        default = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "bregnas"
        home = Path(os.environ.get("BREGNAS_HOME") or default).expanduser().resolve()
        try:
            home.mkdir(parents=True, exist_ok=True)
            if not os.access(home, os.W_OK | os.X_OK):
                raise PermissionError(13, "it cannot be written")
        except OSError as error:
            raise ValueError(f"BREGNAS_HOME={home} cannot be used as a folder: {error.strerror}") from error
        data = os.environ.get("BREGNAS_DATA")
        if data and not Path(data).expanduser().is_dir():
            raise ValueError(f"BREGNAS_DATA={data} is not a folder; leave it out or name the folder of data sets")
        return cls(
            home=home,
            data=Path(data).expanduser().resolve() if data else None,
            database_url=os.environ.get("BREGNAS_DATABASE_URL") or f"sqlite:///{home / 'bregnas.db'}",
            artifacts=os.environ.get("BREGNAS_ARTIFACTS") or str(home / "artifacts"),
        )
