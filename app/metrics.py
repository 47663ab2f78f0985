"""What does an operator's Prometheus see? How much waits and how long, what runs, how fast answers are."""

import threading
import time

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from sqlalchemy import func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.openapi import responses
from app.service import Service, ServiceDep
from store import tables
from store.database import now, read
from store.queue import QUEUES
from store.states import ACTIVE, STATES

router = APIRouter(tags=["health"])

_FRESH_S = 1.0
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_RECENT = 20  # searches whose newest epochs tell the speed of an epoch


class Metrics:
    """The figures of one application; those of the database are asked for once a second at most."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("bregnas_requests", "Requests answered.", labels, registry=self.registry)
        self.latency = Histogram(
            "bregnas_request_seconds", "Time to the end of an answer.", labels[:2], registry=self.registry
        )
        self.depth = Gauge("bregnas_queue_depth", "Searches that wait.", ("queue",), registry=self.registry)
        self.oldest = Gauge(
            "bregnas_queue_oldest_seconds", "How long the longest has waited.", ("queue",), registry=self.registry
        )
        self.states = Gauge("bregnas_searches", "Searches by state.", ("state",), registry=self.registry)
        self.silence = Gauge(
            "bregnas_heartbeat_age_seconds", "Longest silence of an attempt that runs.", registry=self.registry
        )
        self.epoch = Gauge("bregnas_epoch_seconds", "Mean time of the newest epochs.", registry=self.registry)
        Info("bregnas_build", "The version.", registry=self.registry).info({"version": "0.1.0"})
        self._lock = threading.Lock()
        self._asked = float("-inf")

    def text(self, service: Service) -> bytes:
        """Everything, as Prometheus reads it; raises what the database raises."""
        with self._lock:
            if time.monotonic() - self._asked > _FRESH_S:
                self._ask(service)
                self._asked = time.monotonic()
            return generate_latest(self.registry)

    def _ask(self, service: Service) -> None:
        s, a, e = tables.searches.c, tables.attempts.c, tables.epochs.c
        with read(service.engine) as tx:
            by = select(s.state, s.queue, func.count(), now() - func.min(s.updated_at)).group_by(s.state, s.queue)
            counted = tx.execute(by).all()
            silent = tx.scalar(
                select(now() - func.min(a.heartbeat_at))
                .join_from(tables.searches, tables.attempts, (a.search == s.number) & (a.attempt == s.attempt))
                .where(s.state.in_(ACTIVE))
            )
            active = select(s.number).where(s.state.in_(ACTIVE)).order_by(s.id.desc()).limit(_RECENT)
            mine = e.search.in_(active.scalar_subquery())
            seconds = tx.scalar(select(func.avg(e.seconds)).where(mine, e.recorded_at > now() - 300))
        for state in STATES:
            self.states.labels(state).set(sum(row[2] for row in counted if row[0] == state))
        for queue in QUEUES:
            waiting = [row for row in counted if row[:2] == ("queued", queue)]
            self.depth.labels(queue).set(sum(row[2] for row in waiting))
            self.oldest.labels(queue).set(max((max(row[3], 0) for row in waiting), default=0))
        self.silence.set(max(silent or 0, 0))
        self.epoch.set(float("nan") if seconds is None else seconds)


class Measure:
    """ASGI middleware: counts answers by the template of their route, of which there are few, and not by path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count what it was answered with."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, statuses = time.perf_counter(), [500]

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, seen)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = _template(scope)
            self.metrics.requests.labels(method, route, statuses[-1]).inc()
            self.metrics.latency.labels(method, route).observe(time.perf_counter() - began)


def _template(scope: Scope) -> str:
    path: str = getattr(scope.get("route"), "path_format", "none")
    is_of_v1 = scope["path"].startswith("/v1/") and path.startswith("/") and not path.startswith("/v1/")
    return f"/v1{path}" if is_of_v1 else path  # a router that is included may know itself without its prefix


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses=responses({200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}, 422, 503),
)
def metrics(request: Request, service: ServiceDep) -> Response:
    """Answer with the figures of this process and of the database, as text."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(service), media_type=CONTENT_TYPE_LATEST)
