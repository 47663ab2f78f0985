"""Events of a search: as a list with a cursor, or as a stream (server-sent events) that goes on where it broke off.

One address for both, chosen by `Accept`. The framework's own streams are bound to an address of their own and start
before a search is known to exist, so its response and format are used, and the loop is ours.
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from sqlalchemy.exc import SQLAlchemyError

from app import schemas
from app.answers import answer
from app.auth import Caller, CallerDep
from app.openapi import responses
from app.searches import Limit, SearchId
from app.service import Service, ServiceDep
from store import keys, searches
from store.database import read
from store.states import TERMINAL

router = APIRouter(tags=["searches"])

POLL_S = 0.5
PING_S = 15.0
_AWAY_S = 2.0
_RETRY_MS = 2000
_WAITS = b": the database cannot be used at present; the stream goes on when it can\n\n"
_BATCH = 100
_LARGEST = 2**63 - 1

Cursor = Annotated[int, Query(ge=0, le=_LARGEST, description="The event to go on after: `last_id`.")]
Kind = Annotated[
    str | None,
    Query(
        pattern=r"^-?[a-z_]{1,32}$",
        description="Only events of this kind; with a minus before it all but those. Of the list, not of the stream.",
        examples=["-epoch"],
    ),
]
LastEventId = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, le=_LARGEST, description="Stream what follows this event; browsers send it."),
]

_STREAM = {
    "schema": {"type": "string"},
    "example": 'id: 17\nevent: epoch\ndata: {"id":17,"object":"event","kind":"epoch","attempt":1,"data":{}, …}\n\n',
}

_log = structlog.get_logger("app")


@router.get(
    "/searches/{id}/events",
    operation_id="list_search_events",
    summary="Events of a search, as a list or as a stream",
    responses=responses(
        {
            200: {"model": schemas.List[schemas.Event], "content": {"text/event-stream": _STREAM}},
            204: {"description": "The stream is at its end: the search has ended, and Last-Event-ID is its last event"},
        },
        404,
        422,
        503,
    ),
)
async def list_search_events(
    search_id: SearchId,
    request: Request,
    service: ServiceDep,
    caller: CallerDep,
    limit: Limit = 20,
    after: Cursor = 0,
    kind: Kind = None,
    last_event_id: LastEventId = None,
) -> Response:
    """List events, oldest first; with `Accept: text/event-stream`, stream them as they happen until the search ends."""
    if not _wants_stream(request):
        return await run_in_threadpool(_page, service, caller.tenant, search_id, after, limit, kind)
    cursor = after if last_event_id is None else last_event_id
    events, ended = await run_in_threadpool(_next, service, caller, search_id, cursor)
    if ended and not events and last_event_id is not None:
        return Response(status_code=204)  # tells a browser not to come back
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_stream(service, caller, search_id, cursor), headers=headers)


async def _stream(service: Service, caller: Caller, search_id: str, cursor: int) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=_RETRY_MS)  # so that the caller knows at once that the stream is open
    spoke = time.monotonic()
    while not service.stopping:
        try:
            events, ended = await run_in_threadpool(_next, service, caller, search_id, cursor)
        except searches.NotFound:
            return  # deleted meanwhile, or the key was revoked
        except SQLAlchemyError as error:
            _log.warning("stream_waits", search_id=search_id, error=str(error)[:500])
            yield _WAITS
            spoke = time.monotonic()
            await asyncio.sleep(_AWAY_S)
            continue
        for event in events:
            cursor, spoke = event.id, time.monotonic()
            yield format_sse_event(data_str=event.model_dump_json(), event=event.kind, id=str(event.id))
        if ended and len(events) < _BATCH:
            return
        if len(events) < _BATCH:
            await asyncio.sleep(POLL_S * random.uniform(0.5, 1.5))  # streams that began together do not stay so
        if time.monotonic() - spoke > PING_S:
            spoke = time.monotonic()
            yield KEEPALIVE_COMMENT


def _next(service: Service, caller: Caller, search_id: str, after: int) -> tuple[list[schemas.Event], bool]:
    """Some events after a cursor, and whether the search had ended when they were read."""
    with read(service.engine) as tx:
        if caller.key_id is not None and not keys.is_valid(tx, caller.key_id):
            raise searches.NotFound(search_id)  # a stream may outlive its key
        tenant = caller.tenant
        ended = searches.glance(tx, search_id, tenant=tenant)[0] in TERMINAL
        page = searches.events(tx, search_id, after=after, limit=_BATCH, tenant=tenant)
    return [_shown(event) for event in page.items], ended


def _page(service: Service, tenant: str, search_id: str, after: int, limit: int, kind: str | None) -> Response:
    with read(service.engine) as tx:
        page = searches.events(tx, search_id, after=after, limit=limit, kind=kind, tenant=tenant)
    events = [_shown(event) for event in page.items]
    return answer(schemas.listed(events, [event.id for event in events], has_more=page.has_more))


def _shown(event: searches.Event) -> schemas.Event:
    return schemas.Event(
        id=event.id,
        kind=event.kind,
        attempt=event.attempt,
        data=event.data,
        created_at=schemas.moment(event.created_at),
    )


def _wants_stream(request: Request) -> bool:
    accepted = ",".join(request.headers.getlist("accept")).lower()
    return any(re.fullmatch(r"\s*text/event-stream\s*(;.*)?", part) for part in accepted.split(","))
