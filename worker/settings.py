"""What an operator can set of a worker, from the environment."""

import os
from dataclasses import dataclass

from store.queue import QUEUES
from store.settings import Settings


@dataclass(frozen=True)
class WorkerSettings:
    """Besides what is shared: how often to be heard of, and what a trainer may use.

    `threads` is a constant and not the machine's number of cores, since sums round differently with another number:
    so the same search gives the same architecture on machines of one kind that do not change it.
    """

    shared: Settings
    heartbeat_s: float = 10.0
    silent_s: float = 45.0
    threads: int = 2
    checkpoint_s: float = 10.0
    copy_s: float = 60.0
    """Seconds between copies of a checkpoint to the artifact store."""
    hang_s: float = 600.0
    """How long a trainer may be silent after its time limit before it is ended."""
    retention_s: float = 600.0
    """Seconds between two tidyings."""
    queue: str = "cpu"

    @classmethod
    def from_environment(cls) -> "WorkerSettings":
        """Read BREGNAS_HEARTBEAT_S, BREGNAS_SILENT_S, BREGNAS_THREADS, BREGNAS_QUEUE and the shared ones.

        BREGNAS_CHECKPOINT_S, BREGNAS_CHECKPOINT_COPY_S, BREGNAS_HANG_S and BREGNAS_RETENTION_S too.
        Raises ValueError that names the variable.
        """
        settings = cls(
            shared=Settings.from_environment(),
            heartbeat_s=_number("BREGNAS_HEARTBEAT_S", cls.heartbeat_s),
            silent_s=_number("BREGNAS_SILENT_S", cls.silent_s),
            threads=int(_number("BREGNAS_THREADS", cls.threads)),
            checkpoint_s=_number("BREGNAS_CHECKPOINT_S", cls.checkpoint_s),
            copy_s=_number("BREGNAS_CHECKPOINT_COPY_S", cls.copy_s),
            hang_s=_number("BREGNAS_HANG_S", cls.hang_s),
            retention_s=_number("BREGNAS_RETENTION_S", cls.retention_s),
            queue=os.environ.get("BREGNAS_QUEUE") or cls.queue,
        )
        if settings.queue not in QUEUES:
            raise ValueError(f"BREGNAS_QUEUE={settings.queue} is not known; give one of {', '.join(QUEUES)}")
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
