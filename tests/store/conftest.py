"""Real databases: a SQLite file always, PostgreSQL where BREGNAS_TEST_POSTGRES names one (its tables are emptied)."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from store import database, searches
from store.layers import Layer
from store.searches import Search

POSTGRES = os.environ.get("BREGNAS_TEST_POSTGRES")
LAYERS = [Layer("hidden 1", 8), Layer("hidden 2", 4), Layer("output", 8, searched=False)]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One SQLite file, migrated from nothing, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "bregnas.db"
    database.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> str:
    assert POSTGRES
    database.migrate(POSTGRES)
    return POSTGRES


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES else ["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        copy = tmp_path / "bregnas.db"
        shutil.copy(request.getfixturevalue("migrated"), copy)
        return f"sqlite:///{copy}"
    url: str = request.getfixturevalue("postgres")
    engine = database.connect(url)
    with database.write(engine) as tx:
        tx.execute(text("DELETE FROM searches"))
        for table in ("workflow_input", "workflow_output", "operation_outputs", "workflow_status"):
            tx.execute(text(f"DELETE FROM dbos.{table}"))
    engine.dispose()
    return url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = database.connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def post(engine: Engine) -> Callable[..., Search]:
    """Accept a search, as the API does."""

    def post(**values: Any) -> Search:
        given = {
            "name": None,
            "spec": {"task": {"kind": "denoise"}},
            "metadata": {},
            "layers": LAYERS,
            "queue": "cpu",
            "superstructure": "mlp",
            "task": "denoise",
            "data": "digits",
            "seed": 1,
            **values,
        }
        with database.write(engine) as tx:
            return searches.create(tx, **given)

    return post


@pytest.fixture
def look(engine: Engine) -> Callable[[str], Search]:
    """Poll a search."""

    def look(search_id: str) -> Search:
        with database.read(engine) as tx:
            return searches.get(tx, search_id)

    return look
