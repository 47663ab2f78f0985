"""Searches: post one, estimate one, list them, look at one, cancel it, delete it."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Request, Response

from app import drawing, estimates, schemas
from app.accept import IdempotencyKey, accept
from app.answers import answer
from app.auth import TenantDep
from app.body import REQUEST_BODY, PostedSpec
from app.conditions import is_known, not_modified, tag
from app.openapi import responses
from app.problems import Refusal
from app.query import METADATA_PARAMETER, MetadataFilter
from app.service import ServiceDep
from spec import SearchSpec
from store import searches
from store.artifacts import StoreUnavailable
from store.database import read, write
from store.states import State

router = APIRouter(tags=["searches"])

SearchId = Annotated[
    str,
    Path(alias="id", pattern=schemas.SEARCH_ID, description="The id of a search.", examples=[schemas.EXAMPLE_ID]),
]
After = Annotated[
    str | None,
    Query(pattern=schemas.SEARCH_ID, description="The search to go on after: `last_id`."),
]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
Status = Annotated[State | None, Query(description="Only searches with this status.")]

ETAG = {"ETag": {"description": "Changes whenever the search does.", "schema": {"type": "string"}}}
_LOCATION = {"Location": {"description": "Path of the search.", "schema": {"type": "string"}}}
_OF_POSTED = {"parameters": {"id": "$response.body#/id"}}
_LINKS = {
    "poll": {"operationId": "get_search", **_OF_POSTED},
    "layers": {"operationId": "get_search_layers", **_OF_POSTED},
    "cancel": {"operationId": "cancel_search", **_OF_POSTED},
    "pause": {"operationId": "pause_search", **_OF_POSTED},
    "resume": {"operationId": "resume_search", **_OF_POSTED},
    "clone": {"operationId": "clone_search", **_OF_POSTED},
    "path": {"operationId": "get_search_path", **_OF_POSTED},
    "delete": {"operationId": "delete_search", **_OF_POSTED},
}
ACCEPTED: dict[int, dict[str, Any]] = {
    202: {"model": schemas.Search, "description": "Accepted", "headers": ETAG | _LOCATION, "links": _LINKS}
}

_log = structlog.get_logger("app")


@router.post(
    "/searches",
    operation_id="create_search",
    summary="Queue a search",
    status_code=202,
    responses=responses(ACCEPTED, 400, 404, 413, 415, 422, 503),
    openapi_extra={"requestBody": REQUEST_BODY},
)
def create_search(spec: PostedSpec, service: ServiceDep, tenant: TenantDep, key: IdempotencyKey = None) -> Response:
    """Queue a search and answer with it. It is durable when this answers; what is refused leaves nothing behind.

    Sent again with the same `Idempotency-Key`, the same search answers, as it is then.
    """
    made = accept(spec, service, tenant, key)
    return shown(made, 202, {"Location": f"/v1/searches/{made.id}"})


@router.post(
    "/searches/estimate",
    operation_id="estimate_search",
    summary="Estimate a search without queueing it",
    responses=responses({200: {"model": schemas.Estimate}}, 400, 413, 415, 422, 503),
    openapi_extra={"requestBody": REQUEST_BODY},
)
def estimate_search(spec: PostedSpec, service: ServiceDep, tenant: TenantDep) -> Response:
    """Answer with sizes, memory and a guess at the time; refuse what a search would be refused for."""
    return answer(estimates.estimate(spec, service, tenant))


@router.get(
    "/searches",
    operation_id="list_searches",
    summary="List searches, newest first",
    responses=responses({200: {"model": schemas.List[schemas.Search]}}, 422, 503),
    openapi_extra={"parameters": [METADATA_PARAMETER]},
)
def list_searches(
    service: ServiceDep,
    tenant: TenantDep,
    metadata: MetadataFilter,
    limit: Limit = 20,
    after: After = None,
    status: Status = None,
) -> Response:
    """List the searches that pass every filter given."""
    with read(service.engine) as tx:
        page = searches.list_page(tx, limit=limit, after=after, status=status, metadata=metadata, tenant=tenant)
    found = [schemas.Search.of(row) for row in page.items]
    return answer(schemas.listed(found, [search.id for search in found], has_more=page.has_more))


@router.get(
    "/searches/{id}",
    operation_id="get_search",
    summary="Poll a search",
    responses=responses(
        {
            200: {"model": schemas.Search, "headers": ETAG},
            304: {"description": "Not changed since the ETag given in If-None-Match"},
        },
        404,
        422,
        503,
    ),
)
def get_search(search_id: SearchId, request: Request, service: ServiceDep, tenant: TenantDep) -> Response:
    """Answer with the search as it is now, or with 304 where `If-None-Match` has its ETag."""
    with read(service.engine) as tx:
        etag = tag(searches.glance(tx, search_id, tenant=tenant)[1])
        if is_known(request, etag):
            return not_modified(etag)
        found = searches.get(tx, search_id, tenant=tenant)
    return shown(found)


@router.get(
    "/searches/{id}/layers",
    operation_id="get_search_layers",
    summary="Active neurons of every layer, epoch by epoch",
    responses=responses(
        {
            200: {"model": schemas.History, "headers": ETAG},
            304: {"description": "Not changed since the ETag given in If-None-Match"},
        },
        404,
        422,
        503,
    ),
)
def get_search_layers(search_id: SearchId, request: Request, service: ServiceDep, tenant: TenantDep) -> Response:
    """Answer with the whole time series, by columns."""
    with read(service.engine) as tx:
        etag = tag("layers", searches.glance(tx, search_id, tenant=tenant)[1])
        if is_known(request, etag):
            return not_modified(etag)
        history = searches.history(tx, search_id, tenant=tenant)
    return answer(schemas.History(id=search_id, **history), headers={"ETag": etag})


@router.get(
    "/searches/{id}/graph",
    operation_id="get_search_graph",
    summary="The superstructure as it is drawn",
    responses=responses({200: {"model": drawing.Drawing}}, 404, 422, 503),
)
def get_search_graph(search_id: SearchId, service: ServiceDep, tenant: TenantDep) -> Response:
    """Answer with the layers, what each reads and at which size it works; 404 once the data set is deleted."""
    with read(service.engine) as tx:
        found = searches.get(tx, search_id, tenant=tenant)
    try:
        graph = estimates.planned(SearchSpec.model_validate(found.spec), service, tenant).graph
    except Refusal as refusal:
        raise Refusal(404, "not_found", f"the superstructure cannot be made any more: {refusal.detail}") from refusal
    return answer(drawing.Drawing(id=search_id, inputs=drawing.inputs(graph), layers=drawing.drawn(graph)))


@router.post(
    "/searches/{id}/cancel",
    operation_id="cancel_search",
    summary="Cancel a search",
    status_code=202,
    responses=responses({202: {"model": schemas.Search, "headers": ETAG}}, 404, 409, 422, 503),
)
def cancel_search(search_id: SearchId, service: ServiceDep, tenant: TenantDep) -> Response:
    """Cancel a search that has not ended. Again and again does no harm; 409 once it has succeeded or failed."""
    with write(service.engine) as tx:
        cancelled = searches.cancel(tx, search_id, tenant=tenant)
    return shown(cancelled, 202)


@router.delete(
    "/searches/{id}",
    operation_id="delete_search",
    summary="Delete a search with its artifacts",
    status_code=204,
    responses=responses({204: {"description": "Deleted"}}, 404, 409, 422, 503),
)
def delete_search(search_id: SearchId, service: ServiceDep, tenant: TenantDep) -> Response:
    """Delete a search and all that it published; 409 while a worker has it."""
    with write(service.engine) as tx:
        searches.delete(tx, search_id, tenant=tenant)
    try:
        service.artifacts.delete_search(search_id)
    except StoreUnavailable as error:
        # The search is gone, which is what was asked for. Its files are unreachable, and only take space.
        _log.warning("artifacts_left", search_id=search_id, error=str(error))
    return Response(status_code=204)


def shown(row: searches.Search, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The answer that a search's row becomes."""
    return answer(schemas.Search.of(row), status, {"ETag": tag(row.version), **(headers or {})})
