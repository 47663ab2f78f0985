import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.exc import IntegrityError

from store import database, queue, tables
from store.searches import Search
from store.states import STATES

from ..databases import Databases


def alembic(tx: object) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    config.attributes["connection"] = tx
    return config


def test_the_migrations_give_exactly_the_tables_of_the_program(engine: Engine) -> None:
    with database.write(engine) as tx:
        command.check(alembic(tx))  # raises where a new revision would be needed
        assert set(tables.metadata.tables) <= set(inspect(tx).get_table_names())


def test_migrating_again_changes_nothing(database_url: str, engine: Engine, post: Callable[..., Search]) -> None:
    made = post()
    database.migrate(database_url)
    with database.read(engine) as tx:
        assert tx.scalar(select(tables.searches.c.id)) == made.id


def test_a_migration_that_breaks_changes_nothing(engine: Engine) -> None:
    def down_and_break() -> None:
        with database.write(engine) as tx:
            command.downgrade(alembic(tx), "base")
            assert not set(tables.metadata.tables) & set(inspect(tx).get_table_names())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        down_and_break()
    # A migration is a transaction, on SQLite too.
    with database.read(engine) as tx:
        assert set(tables.metadata.tables) <= set(inspect(tx).get_table_names())


def test_several_processes_may_migrate_an_empty_database_at_once(databases: Databases) -> None:
    with databases.fresh(migrated=False) as url:
        program = f"from store.database import migrate; migrate({url!r})"
        started = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
        assert [process.wait(60) for process in started] == [0, 0, 0]
        engine = database.connect(url)
        with database.write(engine) as tx:
            command.check(alembic(tx))
        assert queue.entries(engine, [("srch_none", 1)]) == {}, "its tables are there too"
        engine.dispose()


def test_the_database_says_the_time_with_a_fraction(engine: Engine) -> None:
    with database.read(engine) as tx:
        moments = []
        for _ in range(5):
            moments.append(tx.execute(select(database.now())).scalar_one())
            time.sleep(0.01)
    assert abs(moments[0] - time.time()) < 5
    assert all(0.005 < later - earlier < 1 for earlier, later in pairwise(moments))


def test_a_reader_is_not_stopped_by_a_writer_and_sees_one_moment(engine: Engine, post: Callable[..., Search]) -> None:
    post()
    count = text("SELECT count(*) FROM searches")
    with database.write(engine) as writing:
        writing.execute(text("UPDATE searches SET name = 'x'"))
        begun = time.monotonic()
        with database.read(engine) as reading:
            assert reading.scalar(count) == 1
            assert reading.scalar(text("SELECT name FROM searches")) is None
        assert time.monotonic() - begun < 1
    with database.read(engine) as reading:
        assert reading.scalar(count) == 1
        post()
        assert reading.scalar(count) == 1
    with database.read(engine) as reading:
        assert reading.scalar(count) == 2


def test_writers_wait_for_each_other_and_lose_nothing(engine: Engine, post: Callable[..., Search]) -> None:
    post()

    def raise_version() -> None:
        for _ in range(20):
            with database.write(engine) as tx:
                # read, then write what was read: only safe if nobody else writes in between
                version = tx.execute(select(tables.searches.c.version).with_for_update()).scalar_one()
                tx.execute(text("UPDATE searches SET version = :v"), {"v": version + 1})

    threads = [threading.Thread(target=raise_version) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read(engine) as tx:
        assert tx.scalar(text("SELECT version FROM searches")) == 1 + 4 * 20


def test_what_was_to_follow_a_commit_does_not_follow_a_rollback(engine: Engine) -> None:
    done: list[str] = []
    with database.write(engine) as tx:
        database.after_commit(tx, lambda: done.append("committed"))
        assert not done

    def break_off() -> None:
        with database.write(engine) as tx:
            database.after_commit(tx, lambda: done.append("rolled back"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    with database.write(engine):
        pass
    assert done == ["committed"]


def test_the_database_knows_the_states(engine: Engine, post: Callable[..., Search]) -> None:
    post()
    for state in STATES:
        with database.write(engine) as tx:
            tx.execute(text("UPDATE searches SET state = :state"), {"state": state})
    with pytest.raises(IntegrityError), database.write(engine) as tx:
        tx.execute(text("UPDATE searches SET state = 'lost'"))


def test_a_url_without_a_driver_is_understood() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        engine = database.connect(f"{scheme}://someone@nowhere/bregnas")
        assert (engine.dialect.name, engine.dialect.driver) == ("postgresql", "psycopg")


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a file"):
        database.connect("sqlite://")


def test_the_default_database_is_a_file_in_the_home(tmp_path: Path) -> None:
    database.connect(database.default_url(tmp_path / "a home")).connect().close()
    assert (tmp_path / "a home" / "bregnas.db").exists()
