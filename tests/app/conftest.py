"""The real application on a real database and a real folder; nothing is pretended."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.service import Service
from app.settings import Settings
from spec import EXAMPLE
from store import logs, queue
from store.artifacts import Artifacts
from store.attempts import Attempt, NewArtifact
from store.settings import Settings as StoreSettings

GIB = 2**30


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    logs.configure("error")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    store = StoreSettings(tmp_path, None, database_url, str(tmp_path / "artifacts"))
    return Settings(store, memory_limit=4 * GIB)


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    opened = Service.open(settings)
    queue.prepare(opened.engine)
    yield opened
    opened.close()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def body() -> dict[str, Any]:
    """A search that is accepted."""
    small = {"superstructure": {"kind": "mlp", "widths": [32, 16]}, "target": {"fraction": 0.5}}
    return {**EXAMPLE, "data": "digits", **small}


@pytest.fixture
def work(service: Service) -> Callable[[str], Attempt]:
    """Take a search as a worker does, as far as training its first epochs."""

    def take(search_id: str, epochs: int = 2) -> Attempt:
        attempt = Attempt(service.engine, search_id, 1)
        attempt.start("wrkr_test")
        attempt.running()
        for epoch in range(1, epochs + 1):
            active = [10 - epoch, 6 - epoch, 64]
            attempt.record_epoch(stage="search", epoch=epoch, epochs=30, active=active, train_loss=1.0 / epoch)
        return attempt

    return take


@pytest.fixture
def publish(service: Service) -> Callable[[Attempt, bytes], None]:
    """Publish a bundle as a worker does."""

    def publish_bundle(attempt: Attempt, content: bytes) -> None:
        artifacts: Artifacts = service.artifacts
        stored = artifacts.put(attempt.search_id, attempt.attempt, content)
        result = {"winner": "found", "candidates": [{"name": "found", "widths": [8, 4]}]}
        assert attempt.publish(result, [NewArtifact("net.zip", stored, "application/zip")], bundle="net.zip")

    return publish_bundle
