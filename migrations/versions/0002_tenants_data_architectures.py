"""Tenants and their keys, uploaded data, and architectures that can be searched for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FILTERED = ["task", "data", "superstructure", "name", "shape", "won"]
_SORTS = {"parameters": ["loss"], "loss": ["parameters"], "created_at": ["parameters", "loss"]}


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(length=37), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("description", _JSON, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("tenant", "sha256", name=op.f("uq_datasets_tenant_sha256")),
    )
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_datasets_tenant_id"), ["tenant", "id"], unique=False)

    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("search_id", sa.String(length=37), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name=op.f("pk_idempotency")),
    )
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_created_at"), ["created_at"], unique=False)

    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=37), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_keys_hash")),
    )
    op.create_table(
        "architectures",
        sa.Column("search", _SERIAL, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("superstructure", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=32), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("widths", _JSON, nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("macs", sa.BigInteger(), nullable=False),
        sa.Column("loss", sa.Double(), nullable=False),
        sa.Column("metrics", _JSON, nullable=False),
        sa.Column("shape", sa.String(length=16), nullable=False),
        sa.Column("waist", sa.Integer(), nullable=True),
        sa.Column("waist_ratio", sa.Double(), nullable=True),
        sa.Column("won", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.number"], name=op.f("fk_architectures_search_searches"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("search", "position", name=op.f("pk_architectures")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("architectures", schema=None) as batch_op:
        for by, others in _SORTS.items():
            batch_op.create_index(
                f"ix_architectures_by_{by}", ["tenant", by, "search", "position", *_FILTERED, *others], unique=False
            )

    with op.batch_alter_table("searches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tenant", sa.String(length=64), server_default="local", nullable=False))
        batch_op.add_column(sa.Column("furthest", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        batch_op.add_column(sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False))
        batch_op.create_index(batch_op.f("ix_searches_tenant_id"), ["tenant", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_searches_tenant_state_id"), ["tenant", "state", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("searches", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_searches_tenant_state_id"))
        batch_op.drop_index(batch_op.f("ix_searches_tenant_id"))
        batch_op.drop_column("priority")
        batch_op.drop_column("furthest")
        batch_op.drop_column("tenant")

    with op.batch_alter_table("architectures", schema=None) as batch_op:
        for by in reversed(_SORTS):
            batch_op.drop_index(f"ix_architectures_by_{by}")

    op.drop_table("architectures")
    op.drop_table("keys")
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_created_at"))

    op.drop_table("idempotency")
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_datasets_tenant_id"))

    op.drop_table("datasets")
