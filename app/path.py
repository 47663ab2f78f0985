"""The path of a search: the architectures that it met on its way, each of which can be trained on."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from app import schemas
from app.accept import IdempotencyKey, accept
from app.answers import answer
from app.auth import TenantDep
from app.body import parse
from app.lifecycle import OVERRIDES, merged, overrides
from app.openapi import responses
from app.problems import Refusal
from app.searches import ACCEPTED, SearchId, shown
from app.service import ServiceDep
from store import searches
from store.database import read

router = APIRouter(tags=["searches"])

K = Annotated[int, Path(ge=0, le=999, description="Which of the architectures on the path.", examples=[2])]


@router.get(
    "/searches/{id}/path",
    operation_id="get_search_path",
    summary="The architectures that a search met on its way",
    responses=responses({200: {"model": schemas.List[schemas.PathEntry]}}, 404, 422, 503),
)
def get_search_path(search_id: SearchId, service: ServiceDep, tenant: TenantDep) -> Response:
    """List the best architecture of every size that the search met, smallest first; empty before it has succeeded.

    Sizes rise by half. The losses are those on the way: of networks that nobody has trained on yet.
    """
    with read(service.engine) as tx:
        row = searches.get(tx, search_id, tenant=tenant)
    found = [schemas.PathEntry(**entry) for entry in _path(row)]
    return answer(schemas.listed(found, [entry.k for entry in found]))


@router.post(
    "/searches/{id}/path/{k}",
    operation_id="train_path_architecture",
    summary="Train an architecture of the path on",
    status_code=202,
    responses=responses(ACCEPTED, 400, 404, 409, 413, 415, 422, 503),
    openapi_extra={"requestBody": OVERRIDES},
)
def train_path_architecture(
    search_id: SearchId,
    k: K,
    given: Annotated[bytes, Depends(overrides)],
    service: ServiceDep,
    tenant: TenantDep,
    key: IdempotencyKey = None,
) -> Response:
    """Queue a search that begins with this architecture and its weights: it trains on, and compares at that size.

    Fields given in the body, such as `finetune`, take the place of the first search's own.
    """
    with read(service.engine) as tx:
        row = searches.get(tx, search_id, tenant=tenant)
    known = [entry["k"] for entry in _path(row)]
    if not known:
        raise _no_path(row)
    if k not in known:
        raise Refusal(404, "not_found", f"the path has the architectures 0 to {known[-1]}; {k} is none of them")
    how = {field: value for field, value in row.spec["method"].items() if field != "selection"}  # that of a target
    begun = {**row.spec, "method": how, "target": None, "start": {"search": search_id, "k": k}}
    if begun.get("compare") is not None:  # a control has a target
        begun["compare"] = [name for name in begun["compare"] if name != "control"]
    spec = parse(json.dumps(merged(begun, given)).encode())
    made = accept(spec, service, tenant, key, f"path {search_id} {k}")
    return shown(made, 202, {"Location": f"/v1/searches/{made.id}"})


def _no_path(row: searches.Search) -> Refusal:
    advice = "wait until it has succeeded"
    if row.finished_at is not None:
        advice = "only a search of widths that has succeeded has one, none of depth and none that began on a path"
    return Refusal(409, "no_path", f"the search is {row.state} and has no path; {advice}")


def _path(row: searches.Search) -> list[dict[str, Any]]:
    path: list[dict[str, Any]] = (row.result or {}).get("path", [])
    return path
