"""What can be wrong with the service on this machine? An entry point of the group `bregnas.checks`.

Nothing is changed by looking but a file that is written into the artifact store and removed again.
"""

import secrets
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from app.settings import Settings

Finding = tuple[str, str, str, str]
"""Name, state (`ok`, `note`, `wrong`), what is the case, how to mend it."""

_LITTLE = 2 * 2**30  # bytes


def checks() -> Iterator[Finding]:
    """Look at settings, disk, database, artifact store, data and port."""
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        yield "settings", "wrong", str(error), "change that variable, or leave it out; docs/operating.md lists them"
        return
    home = settings.store.home
    yield "BREGNAS_HOME", "ok", f"{home} can be written", ""
    free = shutil.disk_usage(home).free
    state, mend = ("ok", "") if free >= _LITTLE else ("wrong", "make room, or set BREGNAS_HOME to a larger disk")
    yield "disk", state, f"{free / 2**30:.1f} GiB are free there", mend
    yield from _database(settings)
    yield _artifacts(settings)
    yield _data(settings)
    yield _port(settings)


def _database(settings: Settings) -> Iterator[Finding]:
    from app.health import expected_revision, revision
    from store import keys
    from store.database import connect, full_url, read

    file = make_url(full_url(settings.store.database_url)).database
    if settings.store.database_url.startswith("sqlite") and not Path(file or "").exists():
        yield "database", "ok", f"{file} is made at the first start", ""
        if settings.require_key:
            yield _no_key(settings)
        return
    mend = "see that it runs and that BREGNAS_DATABASE_URL names it; its own log says more"
    try:
        engine = connect(settings.store.database_url)
    except (SQLAlchemyError, ValueError, OSError) as error:
        yield "database", "wrong", f"it cannot be opened ({type(error).__name__})", mend
        return
    kind = engine.dialect.name
    try:
        with read(engine) as tx:
            tx.execute(text("SELECT 1"))
            found = revision(tx)
            has_key = found is not None and settings.require_key and keys.any_valid(tx)
    except SQLAlchemyError as error:
        yield "database", "wrong", f"{kind} cannot be reached ({type(error).__name__})", mend
        return
    finally:
        engine.dispose()
    yield "database", "ok", f"{kind} answers", ""
    if found is None:
        yield "migrations", "note", "it has no tables yet", "`bregnas serve` makes them, as does `bregnas migrate`"
    elif found != expected_revision():
        yield "migrations", "wrong", "its tables are not this version's", "bregnas migrate"
    else:
        yield "migrations", "ok", "its tables are this version's", ""
    if settings.require_key and not has_key:
        yield _no_key(settings)


def _no_key(settings: Settings) -> Finding:
    return "keys", "wrong", f"HOST={settings.host} asks for keys, and there is none", "bregnas keys make NAME"


def _artifacts(settings: Settings) -> Finding:
    from store.artifacts import Artifacts, StoreUnavailable

    try:
        artifacts = Artifacts(settings.store.artifacts)
        artifacts.delete([artifacts.put("srch_doctor", 0, secrets.token_bytes(16)).key])
    except (StoreUnavailable, ValueError, OSError) as error:
        return "artifacts", "wrong", f"{settings.store.artifacts} cannot be written: {error}", "see BREGNAS_ARTIFACTS"
    return "artifacts", "ok", f"{settings.store.artifacts} can be written", ""


def _data(settings: Settings) -> Finding:
    from datasets import listing

    found = listing(settings.store.data)
    here = ", ".join(one.name for one in found if one.available)
    if settings.store.data is None:
        return "data", "note", f"without BREGNAS_DATA there are {here}", "name a folder with others, or upload your own"
    return "data", "ok", f"there are {here}", ""


def _port(settings: Settings) -> Finding:
    from app.supervisor import answers, listen

    try:
        with listen(settings.host, settings.port):
            return "port", "ok", f"{settings.host}:{settings.port} is free", ""
    except ValueError as error:
        try:
            with socket.create_connection((settings.host, settings.port), timeout=1):
                pass
            if answers(f"http://{settings.host}:{settings.port}"):
                return "port", "ok", f"a service answers at {settings.host}:{settings.port} already", ""
        except OSError:
            pass
        return "port", "wrong", str(error), "PORT=8001 bregnas serve"
