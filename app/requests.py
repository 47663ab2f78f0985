"""Which request was that? Every one has an id, in its answer and in each of its lines in the log.

Plain ASGI, outside of everything else: it also answers what nothing inside expected, without showing the inside.
"""

import re
import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems
from store.ids import new_id

HEADER = "X-Request-ID"

_GIVEN = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_QUIET = ("/healthz", "/readyz")

_log = structlog.get_logger("app")


class RequestIds:
    """ASGI middleware: takes a caller's `X-Request-ID` or makes one, logs the request, answers 500 where it must."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and watch what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _given(scope) or new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        status, began = 0, time.perf_counter()

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, numbered)
        except ClientDisconnect:
            _log.info("caller_left")  # in the middle of its request: there is nobody to answer
        except Exception:
            _log.exception("unexpected", method=scope["method"], path=scope["path"])
            if status:
                raise  # the answer is under way: only cutting it off says that it is not whole
            refusal = problems.Refusal(500, "internal", "something went wrong here; the log has it by this request_id")
            await problems.response(refusal, request_id)(scope, receive, numbered)
        finally:
            log = _log.debug if scope["path"] in _QUIET else _log.info
            milliseconds = round(1000 * (time.perf_counter() - began), 1)
            log("request", method=scope["method"], path=scope["path"], status=status, ms=milliseconds)
            structlog.contextvars.unbind_contextvars("request_id", "key")


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN.fullmatch(value):
            return str(value.decode("ascii"))
    return None
