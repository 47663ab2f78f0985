"""Who may come in? Keys: made once, shown once, kept as their SHA-256 alone.

A key's secret is 256 random bits, so that a plain hash is enough: there is nothing to guess, hence nothing to slow
down. It is looked up by that hash; what the time of a look-up tells about a hash tells nothing about a secret.

A key belongs to a tenant, and a tenant sees its own things alone. By default each key has a tenant of its own; keys of
one tenant share everything, which is also how a key is replaced: make the new one, revoke the old one.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy import Connection, insert, select, update

from store import tables
from store.database import now
from store.errors import NotFound
from store.ids import new_id

PREFIX: Final = "bgk_"
"""Says to people, and to programs that look for lost secrets, what they have found."""

_BYTES: Final = 32
_SECRET: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret, which nobody has but its owner; times are Unix seconds."""

    id: str
    tenant: str
    name: str
    created_at: float
    revoked_at: float | None


_SHOWN = [tables.keys.c[field.name] for field in fields(Key)]


def make(tx: Connection, tenant: str | None, name: str) -> tuple[Key, str]:
    """Make a key of a tenant (None: a new one), and give it with its secret, which cannot be had again.

    Raises ValueError, which says what to change, where the tenant or the name cannot be kept.
    """
    if tenant is not None and not _TENANT.fullmatch(tenant):
        raise ValueError(f"the tenant {tenant!r} is not of the form letters, digits, '.', '_' or '-', up to 64 of them")
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError(f"give the key a name of 1 to {_LONGEST_NAME} printable characters, to know it by later")
    secret = PREFIX + secrets.token_urlsafe(_BYTES)
    moment = tx.scalar(select(now()))
    row = tx.execute(
        insert(tables.keys)
        .values(
            id=new_id("key", moment),
            tenant=tenant or new_id("tnt", moment),
            name=name,
            hash=_hash(secret),
            created_at=moment,
        )
        .returning(*_SHOWN)
    ).one()
    return Key(*row), secret


def resolve(tx: Connection, secret: str) -> Key | None:
    """The key with this secret; None where there is none, or no longer. The work is the same for every secret."""
    t = tables.keys
    row = tx.execute(select(*_SHOWN).where(t.c.hash == _hash(secret), t.c.revoked_at.is_(None))).one_or_none()
    return Key(*row) if row else None


def get(tx: Connection, key_id: str) -> Key | None:
    """The key of this id; None where there is none, or no longer."""
    t = tables.keys
    row = tx.execute(select(*_SHOWN).where(t.c.id == key_id, t.c.revoked_at.is_(None))).one_or_none()
    return Key(*row) if row else None


def is_valid(tx: Connection, key_id: str) -> bool:
    """Whether a key has not been revoked since it was resolved."""
    return get(tx, key_id) is not None


def any_valid(tx: Connection) -> bool:
    """Whether anybody could come in at all."""
    t = tables.keys
    return tx.scalar(select(t.c.id).where(t.c.revoked_at.is_(None)).limit(1)) is not None


def all_keys(tx: Connection) -> list[Key]:
    """List every key, oldest first, the revoked ones too."""
    return [Key(*row) for row in tx.execute(select(*_SHOWN).order_by(tables.keys.c.id))]


def revoke(tx: Connection, key_id: str) -> Key:
    """Let a key in no more, from its next request on. Again does no harm; its tenant's things stay."""
    t = tables.keys
    tx.execute(update(t).where(t.c.id == key_id, t.c.revoked_at.is_(None)).values(revoked_at=now()))
    row = tx.execute(select(*_SHOWN).where(t.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(f"key {key_id!r}")
    return Key(*row)


def is_secret(text: str) -> bool:
    """Whether a text has the form of a secret."""
    return _SECRET.fullmatch(text) is not None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
