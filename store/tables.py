"""What lasts, and in which columns?

`searches` holds all that a poll shows: the newest progress is copied there, so that a poll costs one row however long
the history is. Everything else hangs on it and goes with it (ON DELETE CASCADE).

A search has a public `id` and a short `number`; other tables refer to it by the number, since counts are many (layers
x epochs) and their key is most of their size. Times are Unix seconds by the database's clock. JSON columns are JSONB
on PostgreSQL.

On SQLite the tables of the queue (DBOS) lie in the same file; migrations leave them alone.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from store.states import STATES

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

LOCAL: Final = "local"
"""The tenant of everybody where no key is asked for (on loopback)."""

# None is SQL's NULL, so that "has no result" can be asked in a WHERE.
_JSON = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
# SQLite numbers rows by itself only where the key is INTEGER.
_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


def _of_a_search(*, primary_key: bool = False) -> Column[int]:
    return Column(
        "search", _SERIAL, ForeignKey("searches.number", ondelete="CASCADE"), nullable=False, primary_key=primary_key
    )


searches: Final = Table(
    "searches",
    metadata,
    Column("number", _SERIAL, primary_key=True),
    Column("id", String(37), nullable=False, unique=True),
    Column("name", Text),
    Column("state", String(10), nullable=False),
    Column("attempt", Integer, nullable=False),
    # Attempts lost and trainers dead since the last checkpoint.
    Column("stalls", Integer, nullable=False, server_default=text("0")),
    # How far the furthest checkpoint is, in steps of training over all stages.
    Column("furthest", BigInteger, nullable=False, server_default=text("0")),
    Column("queue", String(16), nullable=False),
    # Rises with every change of this row: the ETag.
    Column("version", Integer, nullable=False, server_default=text("1")),
    # Whose it is, and before which others it is taken from the queue: higher first.
    Column("tenant", String(64), nullable=False, server_default=LOCAL),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    # What was asked for.
    Column("spec", _JSON, nullable=False),
    Column("metadata", _JSON, nullable=False),
    Column("superstructure", String(32), nullable=False),
    Column("task", String(32), nullable=False),
    Column("data", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    # The newest progress.
    Column("stage", String(32)),
    Column("epoch", Integer),
    Column("epochs", Integer),
    Column("eta_s", Double),
    Column("layers", _JSON, nullable=False),  # [{name, width, active}]
    Column("parameters", BigInteger),
    Column("macs", BigInteger),
    Column("train_loss", Double),
    Column("validation_loss", Double),
    Column("metrics", _JSON),
    # The end.
    Column("result", _JSON),
    Column("bundle_name", Text),
    Column("bundle_sha256", String(64)),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("updated_at", Double, nullable=False),
    CheckConstraint(_one_of("state", STATES), name="state"),
    Index(None, "state", "id"),  # the sweeper's search for what is active
    Index(None, "tenant", "id"),  # a tenant's list
    Index(None, "tenant", "state", "id"),
    sqlite_autoincrement=True,  # a number is never given twice
)

attempts: Final = Table(
    "attempts",
    metadata,
    _of_a_search(primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("worker", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("heartbeat_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("outcome", String(16)),
    # The newest checkpoint of this attempt; the key where it was copied to the artifact store.
    Column("checkpoint_stage", String(32)),
    Column("checkpoint_epoch", Integer),
    Column("checkpoint_key", Text),
    Column("checkpoint_at", Double),
    CheckConstraint(
        _one_of("outcome", ("succeeded", "failed", "cancelled", "paused", "lost", "handed_back")), name="outcome"
    ),
    sqlite_with_rowid=False,
)

layers: Final = Table(
    "layers",
    metadata,
    _of_a_search(primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("searched", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

epochs: Final = Table(
    "epochs",
    metadata,
    _of_a_search(primary_key=True),
    Column("stage", String(32), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("train_loss", Double),
    Column("validation_loss", Double),
    Column("metrics", _JSON),
    Column("lr", Double),
    Column("lam", Double),
    Column("parameters", BigInteger),
    Column("macs", BigInteger),
    Column("seconds", Double),
    Column("recorded_at", Double, nullable=False),  # for the first time; orders the stages
    sqlite_with_rowid=False,
)

epoch_counts: Final = Table(
    "epoch_counts",
    metadata,
    _of_a_search(primary_key=True),
    Column("stage", String(32), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("active", Integer, nullable=False),
    sqlite_with_rowid=False,
)

events: Final = Table(
    "events",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    _of_a_search(),
    Column("attempt", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("data", _JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "search", "id"),
    sqlite_autoincrement=True,  # a cursor never meets an id given again
)

artifacts: Final = Table(
    "artifacts",
    metadata,
    _of_a_search(primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    sqlite_with_rowid=False,
)

_FILTERED: Final = ("task", "data", "superstructure", "name", "shape", "won")

architectures: Final = Table(
    "architectures",
    metadata,
    # A candidate of a search that has succeeded, with all that a search for architectures filters and sorts by.
    _of_a_search(primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("superstructure", String(32), nullable=False),
    Column("task", String(32), nullable=False),
    Column("data", Text, nullable=False),
    Column("widths", _JSON, nullable=False),  # of the searched layers, in order
    Column("parameters", BigInteger, nullable=False),
    Column("macs", BigInteger, nullable=False),
    Column("loss", Double, nullable=False),  # on the validation split
    Column("metrics", _JSON, nullable=False),
    # `bottleneck`: one minimum inside. Its layer, counted from 0, and its width over the smaller of both ends.
    Column("shape", String(16), nullable=False),
    Column("waist", Integer),
    Column("waist_ratio", Double),
    Column("won", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    # One for each sort, with all that a filter asks for behind its key: docs/decisions/architectures.md.
    *(
        Index(f"ix_architectures_by_{by}", "tenant", by, "search", "position", *_FILTERED, *others)
        for by, others in (
            ("parameters", ("loss",)),
            ("loss", ("parameters",)),
            ("created_at", ("parameters", "loss")),
        )
    ),
    sqlite_with_rowid=False,
)

datasets: Final = Table(
    "datasets",
    metadata,
    Column("id", String(37), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("key", Text, nullable=False),  # in the artifact store
    Column("size", BigInteger, nullable=False),  # bytes, as stored
    Column("format", String(16), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("description", _JSON, nullable=False),  # shape, range, counts, splits, warnings
    Column("created_at", Double, nullable=False),
    UniqueConstraint("tenant", "sha256"),
    Index(None, "tenant", "id"),
)

keys: Final = Table(
    "keys",
    metadata,
    Column("id", String(37), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256: the key itself is 256 random bits
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
)

sessions: Final = Table(
    "sessions",
    metadata,
    # A browser that has shown a key: it is let in as that key is, until then.
    Column("hash", String(64), primary_key=True),  # SHA-256: the token itself is 256 random bits
    Column("key", String(37), ForeignKey("keys.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("expires_at", Double, nullable=False, index=True),
    sqlite_with_rowid=False,
)

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    Column("search_id", String(37), nullable=False),
    Column("created_at", Double, nullable=False, index=True),
)
