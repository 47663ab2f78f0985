"""How Alembic reaches the database.

`store.database.migrate` hands over a connection in a transaction, so that an installed package needs no file of
settings. The command line (`alembic revision --autogenerate`, `alembic check`) takes `BREGNAS_DATABASE_URL`, or the
default in `BREGNAS_HOME`.
"""

import os
from pathlib import Path

from alembic import context
from sqlalchemy import Connection

from store.database import connect, default_url, write
from store.tables import metadata


def _is_ours(item: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
    # A table that is there and not in our metadata is DBOS's, or no business of ours: never to be dropped.
    return not (kind == "table" and reflected and compared is None)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_is_ours,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,  # on SQLite too: we begin transactions ourselves
    )
    with context.begin_transaction():
        context.run_migrations()


if given := context.config.attributes.get("connection"):
    _run(given)
else:
    home = Path(os.environ.get("BREGNAS_HOME", Path.home() / ".bregnas"))
    engine = connect(os.environ.get("BREGNAS_DATABASE_URL") or default_url(home))
    with write(engine) as tx:
        _run(tx)
