"""The life of a search: let it rest, let it go on, begin another like it."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic_core import from_json

from app import schemas
from app.accept import IdempotencyKey, accept
from app.auth import TenantDep
from app.body import body, not_json, parse
from app.openapi import Responses, responses
from app.problems import invalid
from app.searches import ACCEPTED, ETAG, SearchId, shown
from app.service import ServiceDep
from store import lifecycle, searches
from store.database import read, write

router = APIRouter(tags=["searches"])

_CHANGED: Responses = responses({202: {"model": schemas.Search, "headers": ETAG}}, 404, 409, 422, 503)
OVERRIDES: dict[str, Any] = {
    "required": False,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SearchOverrides"}}},
}


@router.post(
    "/searches/{id}/pause",
    operation_id="pause_search",
    summary="Pause a search",
    status_code=202,
    responses=_CHANGED,
)
def pause_search(search_id: SearchId, service: ServiceDep, tenant: TenantDep) -> Response:
    """Let a search rest. Its worker writes a checkpoint first: `pausing`, then `paused`; 409 once it has ended."""
    with write(service.engine) as tx:
        paused = lifecycle.pause(tx, search_id, tenant=tenant)
    return shown(paused, 202)


@router.post(
    "/searches/{id}/resume",
    operation_id="resume_search",
    summary="Resume a paused search",
    status_code=202,
    responses=_CHANGED,
)
def resume_search(search_id: SearchId, service: ServiceDep, tenant: TenantDep) -> Response:
    """Queue a paused search again; it goes on from its checkpoint. 409 while it is `pausing`, and once it has ended."""
    with write(service.engine) as tx:
        resumed = lifecycle.resume(tx, search_id, tenant=tenant)
    return shown(resumed, 202)


async def overrides(request: Request) -> bytes:
    """The body, which may be left out altogether."""
    sent = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    return await body(request) if sent else b""


@router.post(
    "/searches/{id}/clone",
    operation_id="clone_search",
    summary="Queue a search like another",
    status_code=202,
    responses=responses(ACCEPTED, 400, 404, 413, 415, 422, 503),
    openapi_extra={"requestBody": OVERRIDES},
)
def clone_search(
    search_id: SearchId,
    given: Annotated[bytes, Depends(overrides)],
    service: ServiceDep,
    tenant: TenantDep,
    key: IdempotencyKey = None,
) -> Response:
    """Queue a new search with the specification of this one; fields given in the body take the place of its own."""
    with read(service.engine) as tx:
        source = searches.get(tx, search_id, tenant=tenant).spec
    spec = parse(json.dumps(merged(source, given)).encode())
    made = accept(spec, service, tenant, key, f"clone {search_id}")
    return shown(made, 202, {"Location": f"/v1/searches/{made.id}"})


def merged(source: dict[str, Any], overrides: bytes) -> dict[str, Any]:
    """A specification with the fields of a JSON text, which may be empty, in place of its own; `seed` and `seeds` are
    in place of each other."""
    if not overrides.strip():
        return source
    try:
        given = from_json(overrides)
    except ValueError as error:
        raise not_json(overrides, str(error)) from None
    if not isinstance(given, dict):
        raise invalid([((), 'must be an object with the fields to change, such as {"seed": 2}')])
    anew = any(given.get(field) is not None for field in ("seed", "seeds"))
    replaced = {"seed", "seeds"} if anew else set()
    return {field: value for field, value in source.items() if field not in replaced} | given
