"""An older database comes up to the newest revision with all that is in it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from store import database


def _config(tx: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    config.attributes["connection"] = tx
    return config


def _fill(tx: Connection) -> None:
    """A search of the first revision, with a layer and a count."""
    tx.execute(
        text(
            "INSERT INTO searches (number, id, state, attempt, queue, spec, metadata, superstructure, task, data, seed,"
            " layers, created_at, updated_at) VALUES (990001, 'srch_old', 'succeeded', 1, 'cpu', '{}', '{}', 'mlp',"
            " 'denoise', 'digits', 1, '[]', 1.5, 2.5)"
        )
    )
    tx.execute(text("INSERT INTO layers (search, position, name, width, searched) VALUES (990001, 0, 'h', 8, true)"))
    tx.execute(text("INSERT INTO epoch_counts (search, stage, epoch, position, active) VALUES (990001, 's', 1, 0, 3)"))


def _check(tx: Connection) -> None:
    row = tx.execute(text("SELECT tenant, priority, created_at FROM searches WHERE id = 'srch_old'")).one()
    assert tuple(row) == ("local", 0, 1.5)
    assert tx.scalar(text("SELECT active FROM epoch_counts WHERE search = 990001")) == 3
    assert tx.scalar(text("SELECT width FROM layers WHERE search = 990001")) == 8


def test_up_from_the_first_revision_with_data_in_it(engine: Engine, tmp_path: Path) -> None:
    if engine.dialect.name == "postgresql":
        with engine.connect() as tx, tx.begin() as whole:
            command.downgrade(_config(tx), "0001")
            _fill(tx)
            command.upgrade(_config(tx), "head")
            _check(tx)
            whole.rollback()
        return
    url = f"sqlite:///{tmp_path / 'old.db'}"
    old = database.connect(url)
    with database.write(old) as tx:
        command.upgrade(_config(tx), "0001")
    with database.write(old) as tx:
        _fill(tx)
    old.dispose()
    database.migrate(url)
    new = database.connect(url)
    with database.read(new) as tx:
        _check(tx)
    new.dispose()
