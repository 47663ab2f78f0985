"""The first tables: searches, and what hangs on them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "searches",
        sa.Column("number", _SERIAL, nullable=False),
        sa.Column("id", sa.String(length=37), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stalls", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("spec", _JSON, nullable=False),
        sa.Column("metadata", _JSON, nullable=False),
        sa.Column("superstructure", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=32), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.String(length=32)),
        sa.Column("epoch", sa.Integer()),
        sa.Column("epochs", sa.Integer()),
        sa.Column("eta_s", sa.Double()),
        sa.Column("layers", _JSON, nullable=False),
        sa.Column("parameters", sa.BigInteger()),
        sa.Column("macs", sa.BigInteger()),
        sa.Column("train_loss", sa.Double()),
        sa.Column("validation_loss", sa.Double()),
        sa.Column("metrics", _JSON),
        sa.Column("result", _JSON),
        sa.Column("bundle_name", sa.Text()),
        sa.Column("bundle_sha256", sa.String(length=64)),
        sa.Column("error_code", sa.String(length=64)),
        sa.Column("error_message", sa.Text()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'starting', 'running', 'pausing', 'paused', 'cancelling', 'cancelled', "
            "'succeeded', 'failed')",
            name=op.f("ck_searches_state"),
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_searches")),
        sa.UniqueConstraint("id", name=op.f("uq_searches_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_searches_state_id"), "searches", ["state", "id"])

    op.create_table(
        "artifacts",
        sa.Column("search", _SERIAL, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.number"], name=op.f("fk_artifacts_search_searches"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("search", "name", name=op.f("pk_artifacts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "attempts",
        sa.Column("search", _SERIAL, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double()),
        sa.Column("outcome", sa.String(length=16)),
        sa.Column("checkpoint_stage", sa.String(length=32)),
        sa.Column("checkpoint_epoch", sa.Integer()),
        sa.Column("checkpoint_key", sa.Text()),
        sa.Column("checkpoint_at", sa.Double()),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'cancelled', 'paused', 'lost', 'handed_back')",
            name=op.f("ck_attempts_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.number"], name=op.f("fk_attempts_search_searches"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("search", "attempt", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "epoch_counts",
        sa.Column("search", _SERIAL, nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.number"], name=op.f("fk_epoch_counts_search_searches"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("search", "stage", "epoch", "position", name=op.f("pk_epoch_counts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "epochs",
        sa.Column("search", _SERIAL, nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("train_loss", sa.Double()),
        sa.Column("validation_loss", sa.Double()),
        sa.Column("metrics", _JSON),
        sa.Column("lr", sa.Double()),
        sa.Column("lam", sa.Double()),
        sa.Column("parameters", sa.BigInteger()),
        sa.Column("macs", sa.BigInteger()),
        sa.Column("seconds", sa.Double()),
        sa.Column("recorded_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.number"], name=op.f("fk_epochs_search_searches"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("search", "stage", "epoch", name=op.f("pk_epochs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("search", _SERIAL, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.number"], name=op.f("fk_events_search_searches"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_search_id"), "events", ["search", "id"])

    op.create_table(
        "layers",
        sa.Column("search", _SERIAL, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("searched", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.number"], name=op.f("fk_layers_search_searches"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("search", "position", name=op.f("pk_layers")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("layers")
    op.drop_table("events")
    op.drop_table("epochs")
    op.drop_table("epoch_counts")
    op.drop_table("attempts")
    op.drop_table("artifacts")
    op.drop_table("searches")
