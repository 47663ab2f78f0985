"""Where is the database, and what time is it there?

One URL names it: a SQLite file (the default, no server) or PostgreSQL through psycopg 3. The engine may be shared by
all threads of a process; a connection belongs to the thread that opened it. After a fork make a new engine.

`read` and `write` give a connection in one transaction, committed at the end of the block and rolled back by any
exception. On SQLite a writing transaction takes the only write lock at its beginning (BEGIN IMMEDIATE: no upgrade can
fail half-way) and waits up to 30 s for it; a reading one takes none, and sees one moment of the database.

Errors: SQLAlchemy's, unwrapped; `OperationalError` means that the database is away, locked, or without its tables.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Connection,
    Double,
    Engine,
    ExceptionContext,
    Table,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

_AFTER_COMMIT = "bregnas_after_commit"
_READS = "bregnas_reads"
_WAL_S = 30.0
_ANSWERS = {  # libpq's words: a server that does not answer is away, which the system alone would take minutes to say
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_POOL = 16  # connections that are kept; opening one for a read costs more than the read
_UNDEFINED_TABLE = "42P01"
_MIGRATION_LOCK = 0x62726567_6E6173  # "bregnas": one migrator at a time on PostgreSQL


def default_url(home: Path) -> str:
    """The embedded database of an installation that names no other: one file in its home."""
    return f"sqlite:///{home.absolute() / 'bregnas.db'}"


def full_url(url: str) -> str:
    """Name psycopg 3 where the URL names no driver (`postgres://` and `postgresql://` are what people have)."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") and separator else url


def connect(url: str) -> Engine:
    """Make the engine for a URL; nothing is connected yet. The folder of a SQLite file is created."""
    full = full_url(url)
    if make_url(full).get_backend_name() == "postgresql":
        return _postgresql(full)
    return _sqlite(full, foreign_keys=True)


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one moment of the database; what is written through it is refused or undefined."""
    options: dict[str, Any] = {_READS: True}
    if engine.dialect.name == "postgresql":
        options |= {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
    with engine.connect() as tx:
        tx.execution_options(**options)
        with tx.begin():
            yield tx


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a writing transaction, then run what `after_commit` was given."""
    with engine.connect() as tx:
        tx.info.pop(_AFTER_COMMIT, None)
        with tx.begin():
            yield tx
        actions: list[Callable[[], None]] = tx.info.pop(_AFTER_COMMIT, [])
    for action in actions:
        action()


def after_commit(tx: Connection, action: Callable[[], None]) -> None:
    """Run `action` once the transaction of `write` is committed and its connection returned; never after a rollback.

    The change has happened whatever becomes of the action: it is for tidying, not for what must be true.
    """
    tx.info.setdefault(_AFTER_COMMIT, []).append(action)


def now() -> ColumnElement[float]:
    """The database's clock, as Unix seconds with a fraction (SQLite: milliseconds, PostgreSQL: microseconds)."""
    return _Now()


class _Now(FunctionElement[float]):
    type = Double()
    inherit_cache = True


@compiles(_Now, "sqlite")
def _now_sqlite(element: ClauseElement, compiler: Any, **kwargs: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(_Now, "postgresql")
def _now_postgresql(element: ClauseElement, compiler: Any, **kwargs: Any) -> str:
    return "CAST(extract(epoch from clock_timestamp()) AS DOUBLE PRECISION)"


def upsert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, keep: Sequence[str] = ()) -> None:
    """Insert rows; where the primary key exists, replace every given column but those in `keep`."""
    if not rows:
        return
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    key = [column.name for column in table.primary_key]
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in key and name not in keep}
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced), list(rows))


def migrate(url: str) -> None:
    """Bring the database to the newest revision from any earlier one or from nothing: our tables and the queue's.

    Safe to run from several processes at once; does nothing where there is nothing to do.
    """
    # Here, since only who migrates pays for it: 0.3 s, 15 MB.
    from alembic import command
    from alembic.config import Config

    from store import queue

    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    # SQLite changes a table by building it anew: with foreign keys on, dropping the old one would empty its children.
    full = full_url(url)
    is_sqlite = make_url(full).get_backend_name() == "sqlite"
    engine = _sqlite(full, foreign_keys=False) if is_sqlite else connect(url)
    try:
        with write(engine) as tx:
            if not is_sqlite:
                tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            config.attributes["connection"] = tx
            command.upgrade(config, "head")
            if is_sqlite and (broken := tx.execute(text("PRAGMA foreign_key_check")).first()):
                raise RuntimeError(f"the migration left a row without its parent: {tuple(broken)}")
    finally:
        engine.dispose()
    queue.migrate(url)


def _scripts() -> Path:
    found = find_spec("migrations")
    if found is None or found.origin is None:
        raise RuntimeError("the package `migrations` is not installed beside `store`")
    return Path(found.origin).parent


def _postgresql(url: str) -> Engine:
    answers = {name: value for name, value in _ANSWERS.items() if name not in make_url(url).query}
    engine = create_engine(url, pool_pre_ping=True, pool_size=_POOL, connect_args=answers)

    @event.listens_for(engine, "handle_error")
    def _as_sqlite_says(context: ExceptionContext) -> OperationalError | None:
        # Tables that are not made yet are no error of ours, and SQLite does not call them one.
        if getattr(context.original_exception, "sqlstate", None) == _UNDEFINED_TABLE:
            return OperationalError(context.statement, context.parameters, context.original_exception)
        return None

    return engine


def _sqlite(url: str, *, foreign_keys: bool) -> Engine:
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ValueError("a SQLite database must be a file: the API and the workers are separate processes")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=_POOL)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; _begin does
        connection.execute("PRAGMA busy_timeout=30000")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(_READS, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: Any) -> None:
    """Set the journal mode; while another process sets it on a new file SQLite says "locked" at once."""
    deadline = time.monotonic() + _WAL_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.02)
