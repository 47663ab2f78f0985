"""What an operator can set of a worker, from the environment."""

import os
from dataclasses import dataclass

from store.settings import Settings


@dataclass(frozen=True)
class WorkerSettings:
    """Besides what is shared: how often to be heard of, and what a trainer may use.

    `threads` is a constant and not the machine's number of cores, since sums round differently with another number:
    so the same search gives the same architecture on every machine that does not change it.
    """

    shared: Settings
    heartbeat_s: float = 10.0
    silent_s: float = 45.0
    threads: int = 2
    checkpoint_s: float = 10.0

    @classmethod
    def from_environment(cls) -> "WorkerSettings":
        """Read BREGNAS_HEARTBEAT_S, BREGNAS_SILENT_S, BREGNAS_THREADS, BREGNAS_CHECKPOINT_S and the shared ones.

        Raises ValueError that names the variable.
        """
        settings = cls(
            shared=Settings.from_environment(),
            heartbeat_s=_number("BREGNAS_HEARTBEAT_S", cls.heartbeat_s),
            silent_s=_number("BREGNAS_SILENT_S", cls.silent_s),
            threads=int(_number("BREGNAS_THREADS", cls.threads)),
            checkpoint_s=_number("BREGNAS_CHECKPOINT_S", cls.checkpoint_s),
        )
        if settings.silent_s < 2 * settings.heartbeat_s:
            raise ValueError(
                f"BREGNAS_SILENT_S={settings.silent_s:g} must be at least twice BREGNAS_HEARTBEAT_S="
                f"{settings.heartbeat_s:g}, or living workers are taken for dead"
            )
        return settings


def _number(name: str, default: float) -> float:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ValueError(f"{name}={text} must be a positive number")
    return value
