"""How is a search accepted? Once, whether it was posted or cloned, and however often the request is sent."""

import hashlib
from typing import Annotated

import structlog
from fastapi import Header
from sqlalchemy import Connection

from app import estimates
from app.problems import Refusal
from app.service import Service
from spec import SearchSpec
from store import idempotency, searches
from store.database import write
from store.errors import NotFound

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="A name of this request, kept for a day: sent again with the same body it makes no second search.",
    ),
]

_log = structlog.get_logger("app")


def accept(
    spec: SearchSpec, service: Service, tenant: str, key: str | None, request: str = "create"
) -> searches.Search:
    """Queue a search, or give the one that was made under this key; `request` tells apart what the key was used for."""
    plan = estimates.planned(spec, service, tenant)
    asked = f"{request}\n{spec.model_dump_json()}"
    device = spec.device or service.settings.queue
    spec = spec.model_copy(update={"device": device})

    def make(tx: Connection) -> searches.Search:
        estimates.hold_data(tx, spec, tenant)
        estimates.check_start(tx, spec, tenant)
        return searches.create(
            tx,
            name=spec.name or None,
            spec=spec.model_dump(mode="json"),
            metadata=spec.metadata,
            layers=[searches.Layer(node.name, node.width, node.searched) for node in plan.graph.layers()],
            queue=device,  # each kind has a queue of its own
            superstructure=spec.superstructure.kind,
            task=spec.task.kind,
            data=spec.data,
            seed=spec.all_seeds[0],
            epochs=spec.search_epochs * len(spec.all_seeds),
            parameters=plan.parameters,
            macs=plan.macs,
            priority=spec.priority,
            tenant=tenant,
        )

    with write(service.engine) as tx:
        made, is_new = (make(tx), True) if key is None else _once(tx, tenant, key, asked, make)
    _log.info("accepted" if is_new else "replayed", search_id=made.id)
    return made


def _once(tx: Connection, tenant: str, key: str, asked: str, make: idempotency.Make) -> tuple[searches.Search, bool]:
    try:
        return idempotency.once(tx, key, hashlib.sha256(asked.encode()).hexdigest(), make, tenant=tenant)
    except idempotency.Mismatch as error:
        raise Refusal(
            422,
            "idempotency_mismatch",
            f"{error}; send another key, or the same body as before",
            errors=[(("header", "Idempotency-Key"), "was used for another request")],
        ) from error
    except NotFound as error:
        raise Refusal(404, "not_found", f"the search that was made with this key is deleted ({error.name})") from error
