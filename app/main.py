"""The HTTP service, put together."""

import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
import structlog
from fastapi import APIRouter, Depends, FastAPI

from app import (
    architectures,
    artifacts,
    catalogues,
    datasets,
    events,
    health,
    lifecycle,
    metrics,
    openapi,
    pages,
    path,
    problems,
    searches,
    sessions,
    uploads,
)
from app.auth import OPEN, Gate
from app.head import Head
from app.query import known_query
from app.requests import RequestIds
from app.service import Service
from store import queue

# More of them answer no sooner: they take turns with one interpreter, and each keeps a connection and its cache.
_THREADS = 12

_log = structlog.get_logger("app")

_DESCRIPTION = """\
Finds small neural networks: post a search, poll it, download a network that is physically smaller.

Every error is a problem document (RFC 9457, `application/problem+json`). Times are RFC 3339 in UTC.
"""


def create_app(service: Service) -> FastAPI:
    """The application; it closes the service when it ends."""
    app = FastAPI(
        title="Bregnas",
        version="0.1.0",
        description=_DESCRIPTION,
        docs_url=None,  # the framework's pages load a CDN; ours are in `pages`
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.service = service
    v1 = APIRouter(prefix="/v1", dependencies=[Depends(known_query)])
    for resource in (searches, lifecycle, path, events, artifacts, catalogues, datasets, architectures):
        v1.include_router(resource.router)
    app.include_router(v1)
    app.include_router(health.router, dependencies=[Depends(known_query)])
    app.include_router(metrics.router, dependencies=[Depends(known_query)])
    app.include_router(pages.router)
    app.include_router(sessions.router)
    app.mount("/static", pages.Static(), "static")
    problems.install(app)
    app.add_middleware(Head)  # the innermost: who counts or logs sees what was asked
    app.add_middleware(Gate, service=service)
    app.state.metrics = metrics.Metrics()
    app.add_middleware(metrics.Measure, metrics=app.state.metrics)
    app.add_middleware(RequestIds)  # around it: what the gate refuses has an id too
    openapi.complete(app, open_paths=OPEN, require_key=service.settings.require_key)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
    # The queue's library takes half a second to import: beside the first answers, not before them.
    threading.Thread(target=_prepare, args=(service,), name="prepare", daemon=True).start()
    yield
    service.close()


def _prepare(service: Service) -> None:
    try:
        queue.prepare(service.engine)
    except Exception:  # noqa: BLE001 - the first search that is posted tries again, and answers for it
        _log.exception("queue_not_prepared")
    try:
        uploads.tidy(service)
    except Exception:  # noqa: BLE001 - what is left only takes space; the next start tries again
        _log.exception("uploads_not_tidied")
    # What is there now stays: a collection that walked all of it would hold every answer up for a tenth of a second.
    gc.collect()
    gc.freeze()
