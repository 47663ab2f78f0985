"""Which browser has shown a key? A page cannot keep one safely, so it is given a token in a cookie in its place.

A token is 256 random bits; its SHA-256 alone is kept. It lets in as its key does, for a day, and not once the key is
revoked.
"""

import hashlib
import re
import secrets
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from store import keys, tables
from store.database import now
from store.keys import Key

LASTS_S: Final = 86_400

_BYTES: Final = 32
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def begin(tx: Connection, key: Key) -> str:
    """Make a session of a key, and give its token, which cannot be had again. Those that are over are forgotten."""
    token = secrets.token_urlsafe(_BYTES)
    t = tables.sessions
    tx.execute(delete(t).where(t.c.expires_at <= now()))
    tx.execute(insert(t).values(hash=_hash(token), key=key.id, expires_at=now() + LASTS_S))
    return token


def resolve(tx: Connection, token: str) -> Key | None:
    """The key that a browser with this token has shown; None where there is none, or no longer."""
    if not _TOKEN.fullmatch(token):
        return None
    t = tables.sessions
    found = tx.scalar(select(t.c.key).where(t.c.hash == _hash(token), t.c.expires_at > now()))
    return None if found is None else keys.get(tx, found)


def end(tx: Connection, token: str) -> None:
    """Let this token in no more. Again does no harm."""
    tx.execute(delete(tables.sessions).where(tables.sessions.c.hash == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
