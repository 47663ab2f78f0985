"""An older database comes up to the newest revision with all that is in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Column, Connection, Double, Engine, MetaData, String, Table, select

from store import database, history, searches

from ..databases import Databases

CONFIG = Config()
CONFIG.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
EARLIER = [revision.revision for revision in ScriptDirectory.from_config(CONFIG).walk_revisions()][:0:-1]
ROWS = (7, 8)
KNOWN = {"state": "succeeded", "outcome": "succeeded", "position": 0, "layers": []}


def alembic(tx: Connection) -> Config:
    CONFIG.attributes["connection"] = tx
    return CONFIG


@pytest.fixture
def empty(databases: Databases) -> Iterator[tuple[str, Engine]]:
    with databases.fresh(migrated=False) as url:
        engine = database.connect(url)
        yield url, engine
        engine.dispose()


def test_there_is_an_earlier_revision() -> None:
    assert EARLIER[0] == "0001"


@pytest.mark.parametrize("revision", EARLIER)
def test_all_rows_come_up_from_an_earlier_revision(empty: tuple[str, Engine], revision: str) -> None:
    url, engine = empty
    with database.write(engine) as tx:
        command.upgrade(alembic(tx), revision)
        old = tables_of(tx)
        for table in old:
            tx.execute(table.insert(), [{c.name: value(c, row) for c in table.columns} for row in ROWS])
    with database.read(engine) as tx:
        before = {table.name: tx.execute(select(table).order_by(*table.primary_key)).mappings().all() for table in old}
    assert {"searches", "artifacts", "attempts", "epochs", "epoch_counts", "events", "layers"} <= set(before)

    database.migrate(url)

    with database.write(engine) as tx:
        command.check(alembic(tx))  # the tables are exactly those of a new database
        for table in tables_of(tx):
            if rows := before.get(table.name):
                after = tx.execute(select(table).order_by(*table.primary_key)).mappings().all()
                assert [{name: row[name] for name in rows[0]} for row in after] == rows, table.name
    with database.read(engine) as tx:
        found = searches.get(tx, "id-7")
        priority = 0 if revision == "0001" else 7  # what had none has the default
        assert (found.state, found.priority, found.created_at) == ("succeeded", priority, 7.5)
        assert searches.artifacts(tx, "id-8")[0].name == "name-8"
        assert history.history(tx, "id-7")["epochs"] == [7]


def tables_of(tx: Connection) -> list[Table]:
    """The tables that are there now, parents first; the queue's apart."""
    found = MetaData()
    found.reflect(tx)
    ours = {"searches", "datasets", "keys", "idempotency"}
    return [
        table
        for table in found.sorted_tables
        if table.name in ours or any(key.column.table.name in ours for key in table.foreign_keys)
    ]


def value(column: Column[Any], row: int) -> Any:
    """Something of the column's type; whole numbers are the row's, so that children find their parents."""
    if column.name in KNOWN:
        return KNOWN[column.name]
    if isinstance(column.type, JSON):
        return {"row": row}
    if isinstance(column.type, Boolean):
        return True
    if isinstance(column.type, String):
        return f"{column.name}-{row}"
    return row + 0.5 if isinstance(column.type, Double) else row
