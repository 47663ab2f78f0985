"""A database of its own for every test that asks: a SQLite file, or one on a PostgreSQL server.

Each is a copy of one that was migrated once (migrating costs a second, a copy a tenth of it) and is gone afterwards, so
that nothing is ever emptied and runs side by side do not meet.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from store.database import full_url, migrate

POSTGRES = os.environ.get("BREGNAS_TEST_POSTGRES")
"""A server: any database on it, and a user who may make others. Without it the tests start one of their own."""


class Databases(Protocol):
    """Databases of one kind."""

    def fresh(self, *, migrated: bool = True) -> AbstractContextManager[str]:
        """Give the URL of a new database without rows, or even without tables; it goes at the end of the block."""
        ...

    def away(self, url: str) -> AbstractContextManager[None]:
        """Make that database unreachable during the block, and end the connections to it."""
        ...


def queue_table(engine: Engine) -> str:
    """The table of the queue's entries; on PostgreSQL it has a schema of its own."""
    return "dbos.workflow_status" if engine.dialect.name == "postgresql" else "workflow_status"


class Sqlite:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._template = folder, folder / "template.db"
        migrate(f"sqlite:///{self._template}")

    @contextmanager
    def fresh(self, *, migrated: bool = True) -> Iterator[str]:
        path = self._folder / _name() / "bregnas.db"
        path.parent.mkdir()
        if migrated:
            shutil.copy(self._template, path)
        yield f"sqlite:///{path}"
        shutil.rmtree(path.parent)

    @contextmanager
    def away(self, url: str) -> Iterator[None]:
        path = Path(url.removeprefix("sqlite:///"))
        path.rename(path.with_name("away"))
        path.mkdir()  # a folder cannot be opened as a file
        yield
        path.rmdir()
        path.with_name("away").rename(path)


class Postgresql:
    """Databases on a server, made through any database of it."""

    def __init__(self, server: str) -> None:
        self._server = make_url(full_url(server))
        self._engine = create_engine(self._server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._template = _name()
        self._do(f"CREATE DATABASE {self._template} TEMPLATE template0")
        migrate(self._url(self._template))
        self._do(f"ALTER DATABASE {self._template} ALLOW_CONNECTIONS false")  # whoever is connected hinders a copy

    @contextmanager
    def fresh(self, *, migrated: bool = True) -> Iterator[str]:
        name = _name()
        self._do(f"CREATE DATABASE {name} TEMPLATE {self._template if migrated else 'template0'}")
        try:
            yield self._url(name)
        finally:
            self._drop(name)

    @contextmanager
    def away(self, url: str) -> Iterator[None]:
        name = make_url(url).database
        self._do(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield
        self._do(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def hurry(self) -> None:
        """Let the server not wait for its disk: no test outlives the machine."""
        self._do("ALTER SYSTEM SET fsync = off")
        self._do("SELECT pg_reload_conf()")

    def close(self) -> None:
        self._drop(self._template)

    def _drop(self, name: str) -> None:
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _do(self, command: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(command))

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)


def _name() -> str:
    return f"bregnas_test_{uuid.uuid4().hex[:16]}"
