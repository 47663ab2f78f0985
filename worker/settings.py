"""What an operator can set of a worker, from the environment."""

from dataclasses import dataclass

from store.queue import QUEUES
from store.settings import LOG_LEVELS, Settings, number, one_of, whole

_MOST_THREADS = 1024


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
    log_level: str = "info"

    @classmethod
    def from_environment(cls) -> "WorkerSettings":
        """Read BREGNAS_HEARTBEAT_S, BREGNAS_SILENT_S, BREGNAS_THREADS, BREGNAS_QUEUE and the shared ones.

        BREGNAS_CHECKPOINT_S, BREGNAS_CHECKPOINT_COPY_S, BREGNAS_HANG_S, BREGNAS_RETENTION_S and BREGNAS_LOG_LEVEL too.
        Raises ValueError that names the variable.
        """
        settings = cls(
            shared=Settings.from_environment(),
            heartbeat_s=number("BREGNAS_HEARTBEAT_S", cls.heartbeat_s),
            silent_s=number("BREGNAS_SILENT_S", cls.silent_s),
            threads=whole("BREGNAS_THREADS", cls.threads, _MOST_THREADS),
            checkpoint_s=number("BREGNAS_CHECKPOINT_S", cls.checkpoint_s),
            copy_s=number("BREGNAS_CHECKPOINT_COPY_S", cls.copy_s),
            hang_s=number("BREGNAS_HANG_S", cls.hang_s),
            retention_s=number("BREGNAS_RETENTION_S", cls.retention_s),
            queue=one_of("BREGNAS_QUEUE", QUEUES),
            log_level=one_of("BREGNAS_LOG_LEVEL", LOG_LEVELS),
        )
        if settings.silent_s < 2 * settings.heartbeat_s:
            raise ValueError(
                f"BREGNAS_SILENT_S={settings.silent_s:g} must be at least twice BREGNAS_HEARTBEAT_S="
                f"{settings.heartbeat_s:g}, or living workers are taken for dead"
            )
        return settings
