"""Is this process alive, and could it do its work if it were asked to?"""

import secrets
from collections.abc import Callable
from functools import cache

import structlog
from fastapi import APIRouter, Response
from sqlalchemy import Connection, inspect, text

from app import schemas
from app.answers import answer
from app.openapi import responses
from app.problems import RETRY_AFTER_S, Refusal
from app.service import Service, ServiceDep
from store.database import read

router = APIRouter(tags=["health"])

_PROBE = "srch_readyz"

_log = structlog.get_logger("app")


@router.get(
    "/healthz",
    operation_id="healthz",
    summary="Is it alive?",
    responses=responses({200: {"model": schemas.Health}}, 422),
)
async def healthz() -> Response:
    """Answer without looking at anything: who does not get this answer should restart the process."""
    return answer(schemas.Health())


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Can it work?",
    responses=responses({200: {"model": schemas.Readiness}}, 422, 503),
)
def readyz(service: ServiceDep) -> Response:
    """Try the database, its migrations and the artifact store; 503 names each that does not work."""
    wrong = []
    for name, check in _CHECKS.items():
        try:
            reason = check(service)
        except Exception as error:  # noqa: BLE001 - whatever it is, it makes the answer no
            # The words are the log's: they may hold addresses.
            _log.warning("not_ready", check=name, error=f"{type(error).__name__}: {error}"[:500])
            reason = "cannot be used; the log says why"
        if reason:
            wrong.append(((name,), reason))
    if wrong:
        detail = "; ".join(f"{loc[0]}: {reason}" for loc, reason in wrong)
        raise Refusal(503, "not_ready", detail, errors=wrong, headers={"Retry-After": RETRY_AFTER_S})
    return answer(schemas.Readiness(checks=dict.fromkeys(_CHECKS, "ok")))


def _database(service: Service) -> str | None:
    with read(service.engine) as tx:
        tx.execute(text("SELECT 1"))
    return None


def _migrations(service: Service) -> str | None:
    with read(service.engine) as tx:
        found = revision(tx)
    return None if found == expected_revision() else "the tables are not this version's; run `bregnas migrate`"


def revision(tx: Connection) -> str | None:
    """The version of the database's tables; None where it has none."""
    is_there = inspect(tx).has_table("alembic_version")
    found: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar() if is_there else None
    return found


def _artifacts(service: Service) -> str | None:
    stored = service.artifacts.put(_PROBE, 0, secrets.token_bytes(16))  # of its own: probes may come at once
    service.artifacts.delete([stored.key])
    return None


_CHECKS: dict[str, Callable[[Service], str | None]] = {
    "database": _database,
    "migrations": _migrations,
    "artifacts": _artifacts,
}


@cache
def expected_revision() -> str | None:
    """The version of the tables that this program needs."""
    # Here, since only who asks pays for it: 0.3 s, 15 MB.
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "migrations:")
    return ScriptDirectory.from_config(config).get_current_head()
