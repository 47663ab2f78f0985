"""Downloads: the model that a search found, and the parts of its bundle, whole or in ranges.

What is published never changes, so the strong entity tag is the SHA-256 of the bytes, and a broken download goes on
with `Range` and `If-Range`.
"""

import re
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from app import schemas
from app.answers import answer
from app.auth import TenantDep
from app.conditions import is_known, not_modified, tag
from app.openapi import responses
from app.problems import Refusal
from app.searches import SearchId
from app.service import Service, ServiceDep
from store import searches
from store.database import read

router = APIRouter(tags=["artifacts"])

Name = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", description="The artifact's name.", examples=["model.onnx"]),
]

Candidate = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z]{1,32}$",
        description="Whose network: a name of `result.candidates`; the winner's where none is given.",
        examples=["found"],
    ),
]

_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_DOWNLOAD_HEADERS = {
    "ETag": {"description": "SHA-256 of the whole file.", "schema": {"type": "string"}},
    "Accept-Ranges": {"description": "`bytes`", "schema": {"type": "string"}},
    "Content-Disposition": {"description": "The file's name.", "schema": {"type": "string"}},
}
_RANGE = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "One range of bytes: `bytes=1000-`.",
    "schema": {"type": "string"},
}


def _download(media: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {
        200: {"description": "The whole file", "content": media, "headers": _DOWNLOAD_HEADERS},
        206: {"description": "The range asked for", "content": media, "headers": _DOWNLOAD_HEADERS},
        304: {"description": "If-None-Match has the file's ETag"},
    }


_MODEL = _download({"application/zip": _BYTES["application/octet-stream"]})
_ANY = _download({"*/*": _BYTES["application/octet-stream"]})


@router.get(
    "/searches/{id}/model",
    operation_id="download_model",
    summary="Download the network that was found",
    responses=responses(_MODEL, 404, 409, 416, 422, 503),
    openapi_extra={"parameters": [_RANGE]},
)
async def download_model(
    search_id: SearchId, request: Request, service: ServiceDep, tenant: TenantDep, candidate: Candidate = None
) -> Response:
    """Answer with the bundle (zip) of the winner, or of another candidate; 409 with the state while there is none."""
    return await _send(service, request, await run_in_threadpool(_model, service, tenant, search_id, candidate))


@router.get(
    "/searches/{id}/artifacts",
    operation_id="list_artifacts",
    summary="List what a search has published",
    responses=responses({200: {"model": schemas.List[schemas.Artifact]}}, 404, 422, 503),
)
def list_artifacts(search_id: SearchId, service: ServiceDep, tenant: TenantDep) -> Response:
    """List the bundle and its parts by name; empty before the search has succeeded."""
    with read(service.engine) as tx:
        rows = searches.artifacts(tx, search_id, tenant=tenant)
    found = [
        schemas.Artifact(
            name=row.name,
            sha256=row.sha256,
            size=row.size,
            media_type=row.media_type,
            created_at=schemas.moment(row.created_at),
            url=f"/v1/searches/{search_id}/artifacts/{row.name}",
        )
        for row in rows
    ]
    return answer(schemas.listed(found, [artifact.name for artifact in found]))


@router.get(
    "/searches/{id}/artifacts/{name}",
    operation_id="download_artifact",
    summary="Download one artifact",
    responses=responses(_ANY, 404, 416, 422, 503),
    openapi_extra={"parameters": [_RANGE]},
)
async def download_artifact(
    search_id: SearchId, name: Name, request: Request, service: ServiceDep, tenant: TenantDep
) -> Response:
    """Answer with the file."""
    return await _send(service, request, await run_in_threadpool(_artifact, service, tenant, search_id, name))


def _model(service: Service, tenant: str, search_id: str, candidate: str | None) -> searches.Artifact:
    with read(service.engine) as tx:
        search = searches.get(tx, search_id, tenant=tenant)
        if search.bundle_name is None:
            _refuse_model(search)
        result = search.result or {}
        name = search.bundle_name
        if candidate is not None and candidate != result.get("winner"):
            known = [one["name"] for one in result.get("candidates", ())]
            if candidate not in known:
                said = f"this search has the candidates {', '.join(known)}; {candidate!r} is none of them"
                raise Refusal(404, "not_found", said)
            name = f"candidate-{candidate}.zip"
        return searches.artifact(tx, search_id, name, tenant=tenant)


def _refuse_model(search: searches.Search) -> NoReturn:
    ended = search.finished_at is not None
    why = f" ({search.error_code}: {search.error_message})" if search.error_code else ""
    advice = "there will be none" if ended else "poll it until it has succeeded"
    raise Refusal(409, "no_model", f"the search is {search.state}{why} and has no model; {advice}")


def _artifact(service: Service, tenant: str, search_id: str, name: str) -> searches.Artifact:
    with read(service.engine) as tx:
        return searches.artifact(tx, search_id, name, tenant=tenant)


async def _send(service: Service, request: Request, artifact: searches.Artifact) -> Response:
    etag = tag(artifact.sha256)
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{artifact.name}"',
        "Cache-Control": "private, no-cache",  # kept, and asked about: it may be deleted
        "X-Content-Type-Options": "nosniff",
    }
    if is_known(request, etag):
        return not_modified(etag, headers)
    span = _range(request, etag, artifact.size)
    start, end = span or (0, artifact.size)
    headers["Content-Length"] = str(end - start)
    if span:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{artifact.size}"
    chunks = await service.artifacts.open(artifact.key, start, end)
    return StreamingResponse(chunks, 206 if span else 200, headers, media_type=artifact.media_type)


def _range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """The half-open range asked for; None for the whole: no range, several, or of another version of the file."""
    given = re.fullmatch(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", request.headers.get("range", ""))
    if given is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last = given[1], given[2]
    if first and last and int(last) < int(first):
        return None  # not a range at all
    if not first and not last:
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise Refusal(
            416,
            "range_not_satisfiable",
            f"the file has {size} bytes; ask for a range inside it",
            errors=[(("header", "Range"), f"must begin before byte {size}")],
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end
