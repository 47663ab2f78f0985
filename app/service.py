"""What does a request work with? The database, the artifact store and the settings, opened once for a process."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

from app.settings import Settings
from store.artifacts import Artifacts, StoreUnavailable
from store.database import connect


@dataclass
class Service:
    """Shared by all threads of the process."""

    settings: Settings
    engine: Engine
    artifacts: Artifacts
    stopping: bool = False
    """Set when the process is to end: streams that would last for hours end then."""

    @classmethod
    def open(cls, settings: Settings) -> "Service":
        """Open what the settings name; raises ValueError, which says what to change, where that cannot be."""
        try:
            engine = connect(settings.store.database_url)
        except (ArgumentError, OSError, ValueError) as error:
            raise ValueError(f"BREGNAS_DATABASE_URL cannot be used: {error}") from error
        try:
            return cls(settings, engine, Artifacts(settings.store.artifacts))
        except StoreUnavailable as error:
            raise ValueError(f"BREGNAS_ARTIFACTS cannot be used: {error}") from error

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


async def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


ServiceDep = Annotated[Service, Depends(_service)]
