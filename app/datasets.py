"""Data sets: upload one, list what there is to search on, look at one, delete one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import structlog
from anyio import CapacityLimiter, WouldBlock, to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from app import schemas, uploads
from app.answers import answer
from app.auth import TenantDep
from app.body import drop
from app.dataset_documents import DataSet, of_catalogue, of_upload
from app.form import FIELD, receive
from app.openapi import responses
from app.problems import Refusal, unavailable
from app.service import ServiceDep
from datasets import listing, names
from store import datasets
from store.artifacts import StoreUnavailable
from store.database import read, write
from store.errors import NotFound

router = APIRouter(tags=["datasets"])

_EXAMPLE = "dset_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"
_ID = r"^dset_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$"

NameOrId = Annotated[
    str,
    Path(
        alias="id",
        pattern=r"^[A-Za-z0-9_.-]{1,100}$",
        description="The id of an uploaded set, or a name of the catalogue.",
        examples=[_EXAMPLE],
    ),
]
After = Annotated[str | None, Query(pattern=_ID, description="The uploaded set to go on after: `last_id`.")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many uploaded sets at most.")]

_OF_POSTED = {"parameters": {"id": "$response.body#/id"}}
_MADE: dict[int, dict[str, Any]] = {
    201: {
        "model": DataSet,
        "description": "Stored",
        "headers": {"Location": {"description": "Path of the data set.", "schema": {"type": "string"}}},
        "links": {
            "get": {"operationId": "get_dataset", **_OF_POSTED},
            "delete": {"operationId": "delete_dataset", **_OF_POSTED},
        },
    },
    200: {"model": DataSet, "description": "The same file was uploaded before: that data set"},
}
_FORM: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: {"type": "string", "format": "binary"}},
            }
        }
    },
}

_MOST = 4
_uploads = CapacityLimiter(_MOST)  # each may take as much of the disk as is allowed, twice
_checks = CapacityLimiter(2)  # a check may take some GiB

_log = structlog.get_logger("app")


@router.post(
    "/datasets",
    operation_id="create_dataset",
    summary="Upload a data set",
    status_code=201,
    responses=responses(_MADE, 400, 408, 413, 415, 422, 503),
    openapi_extra={"requestBody": _FORM},
)
async def create_dataset(request: Request, service: ServiceDep, tenant: TenantDep) -> Response:
    """Take an `.npz` with x (and y), an IDX file (or `.gz`), or a zip of images, check it, and keep it.

    The images of a zip lie in one folder; or in a folder a class; or in `image/` and `label/` under the same names.
    """
    async with _place(request):
        with uploads.folder(service) as place:
            received = await receive(request, place / uploads.FILE, service.settings.upload_limit)
            known = await to_thread.run_sync(uploads.known, service, tenant, received)
            if known is not None:
                return answer(of_upload(known, with_previews=True), 200, _location(known))
            made, is_new = await to_thread.run_sync(uploads.register, service, tenant, received, place, limiter=_checks)
    return answer(of_upload(made, with_previews=True), 201 if is_new else 200, _location(made))


@asynccontextmanager
async def _place(request: Request) -> AsyncIterator[None]:
    """One of the few places for uploads; where all are taken the caller is sent away for now."""
    try:
        _uploads.acquire_on_behalf_of_nowait(request)
    except WouldBlock:
        await drop(request, request.stream())
        raise unavailable(
            "too_many_uploads", f"{_MOST} data sets are being uploaded already; nothing was stored, send it again soon"
        ) from None
    try:
        yield
    finally:
        _uploads.release_on_behalf_of(request)


@router.get(
    "/datasets",
    operation_id="list_datasets",
    summary="List the data sets that a search may name",
    responses=responses({200: {"model": schemas.List[DataSet]}}, 422, 503),
)
def list_datasets(service: ServiceDep, tenant: TenantDep, limit: Limit = 100, after: After = None) -> Response:
    """List the sets of the catalogue, with how to get those that are not here, then the uploaded ones, newest first.

    The catalogue stands on the first page; `limit` and `after` are about the uploaded ones.
    """
    with read(service.engine) as tx:
        page = datasets.list_page(tx, limit=limit, after=after, tenant=tenant)
    found = [of_catalogue(listed) for listed in listing(service.settings.store.data)] if after is None else []
    found += [of_upload(row, with_previews=False) for row in page.items]
    return answer(schemas.listed(found, [data.id or data.name for data in found], has_more=page.has_more))


@router.get(
    "/datasets/{id}",
    operation_id="get_dataset",
    summary="Look at a data set",
    responses=responses({200: {"model": DataSet}}, 404, 422, 503),
)
def get_dataset(name: NameOrId, service: ServiceDep, tenant: TenantDep) -> Response:
    """Answer with what is known of it; of an uploaded one with pictures."""
    if datasets.is_dataset_id(name):
        with read(service.engine) as tx:
            return answer(of_upload(datasets.get(tx, name, tenant=tenant), with_previews=True))
    for listed in listing(service.settings.store.data):
        if listed.name == name:
            return answer(of_catalogue(listed))
    raise NotFound(f"data set {name}")


@router.delete(
    "/datasets/{id}",
    operation_id="delete_dataset",
    summary="Delete an uploaded data set",
    status_code=204,
    responses=responses({204: {"description": "Deleted"}}, 404, 409, 422, 503),
)
def delete_dataset(name: NameOrId, service: ServiceDep, tenant: TenantDep) -> Response:
    """Delete an uploaded set; 409 while a search that is not over uses it. Searches that are over stay as they are."""
    if name in names():
        raise Refusal(409, "not_deletable", f"{name} belongs to the catalogue; only uploaded sets can be deleted")
    try:
        with write(service.engine) as tx:
            key = datasets.delete(tx, name, tenant=tenant)
    except datasets.InUse as error:
        raise Refusal(409, "dataset_in_use", f"{error}; wait for it, or cancel it first") from error
    try:
        service.artifacts.delete([key])
    except StoreUnavailable as error:
        # The set is gone, which is what was asked for. Its file goes when a worker tidies up.
        _log.warning("dataset_file_left", dataset_id=name, error=str(error))
    return Response(status_code=204)


def _location(row: datasets.Dataset) -> dict[str, str]:
    return {"Location": f"/v1/datasets/{row.id}"}
