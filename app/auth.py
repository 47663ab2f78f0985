"""Whose request is this, and may it come in?

One gate stands before every route, so that a new one is closed by itself: only `OPEN` is not asked. Where keys are
asked for, a request brings one (`Authorization: Bearer bgk_…`; a browser brings the session that it was given for one)
and belongs to that key's tenant. Where none is asked for, everything belongs to one tenant (`LOCAL`), and what protects
it is that only this machine reaches the address. A web page in a browser on this machine does too, so it is turned
away: by `Host` where its name was bent to the loopback address (DNS rebinding), by `Origin` where it writes across
sites. The latter holds for sessions as well, which a browser sends by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import structlog
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send

from app import problems
from app.body import drop
from app.pages import is_page
from app.problems import Refusal
from app.service import Service
from app.settings import is_loopback
from store import keys, sessions
from store.database import read
from store.tables import LOCAL

OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that anybody may ask."""

COOKIE = "bregnas_session"
"""Holds a browser's session; `app.sessions` sets it."""
KEY_PAGE = "/key"

_WITHOUT_KEY = (KEY_PAGE, "/session")  # how one gets in; beside them the files of `/static/`, which are nobody's
_SAFE = ("GET", "HEAD", "OPTIONS")
_HOW = "send the header `Authorization: Bearer bgk_…`; the operator makes keys with `bregnas keys make NAME`"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is, and the id of the key that it came with, if any."""

    tenant: str
    key_id: str | None = None


class Gate:
    """ASGI middleware: finds a request's tenant, or answers it with a refusal."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in with its tenant in the state, or turn it away."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            key = await self._key(request)
            if key is None and not self.service.settings.require_key:
                _only_this_machine(request, self.service.settings.hosts)
            if key is None or not request.headers.get("authorization"):
                _same_origin(request, sent=COOKIE in request.cookies)
        except Refusal as refusal:
            if refusal.status == 401 and _is_of_a_page(request):
                back = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="")
                await RedirectResponse(f"{KEY_PAGE}?next={back}", 303)(scope, receive, send)
                return
            await drop(request, request.stream())
            await problems.response(refusal, request.state.request_id)(scope, receive, send)
            return
        request.state.caller = Caller(key.tenant, key.id) if key else Caller(LOCAL)
        if key is not None:
            structlog.contextvars.bind_contextvars(key=key.id)  # `RequestIds` ends it, after its last line
        await self.app(scope, receive, send)

    async def _key(self, request: Request) -> keys.Key | None:
        """The key that the request brings, or its session's; None where it brings none and needs none."""
        given = request.headers.getlist("authorization")
        if not given and (token := request.cookies.get(COOKIE)):
            if (key := await run_in_threadpool(self._resolve, sessions.resolve, token)) is not None:
                return key
            if self.service.settings.require_key and not _needs_none(request):
                raise _unauthorized(f"this session is over, or its key was revoked; {_HOW}", "session_over")
        if not given and (_needs_none(request) or not self.service.settings.require_key):
            return None
        if not given:
            raise _unauthorized(f"a key is needed; {_HOW}", "no_key")
        scheme, _, secret = given[0].partition(" ")
        secret = secret.strip()
        if len(given) > 1 or scheme.lower() != "bearer" or not keys.is_secret(secret):
            raise _unauthorized(f"that is no key of this service; {_HOW}", "invalid_key", "invalid_token")
        key = await run_in_threadpool(self._resolve, keys.resolve, secret)
        if key is None:
            raise _unauthorized(f"this key is not known, or was revoked; {_HOW}", "invalid_key", "invalid_token")
        return key

    def _resolve(self, find: Callable[[Connection, str], keys.Key | None], secret: str) -> keys.Key | None:
        try:
            with read(self.service.engine) as tx:
                return find(tx, secret)
        except problems.DATABASE_AWAY as error:
            raise problems.database_away(error) from error


async def caller(request: Request) -> Caller:
    """Whose request the gate has found this to be; without the gate there is no answer at all."""
    found = request.state.caller
    assert isinstance(found, Caller)
    return found


CallerDep = Annotated[Caller, Depends(caller)]


async def tenant(found: CallerDep) -> str:
    """The tenant whose things this request may see."""
    return found.tenant


TenantDep = Annotated[str, Depends(tenant)]


def check_keys(service: Service) -> None:
    """Refuse to start (ValueError) where keys are asked for and none would be let in."""
    if not service.settings.require_key:
        return
    try:
        with read(service.engine) as tx:
            found = keys.any_valid(tx)
    except SQLAlchemyError as error:
        # Nobody comes in before it can be asked: to start is safe, and readyz says what is wrong.
        structlog.get_logger("app").warning("keys_not_checked", error=type(error).__name__)
        return
    if not found:
        host = service.settings.host
        raise ValueError(f"HOST={host} asks for keys, and there is none; make one with: bregnas keys make NAME")


def _needs_none(request: Request) -> bool:
    path = request.scope["path"]
    return path in _WITHOUT_KEY or path.startswith("/static/")


def _is_of_a_page(request: Request) -> bool:
    wants = "text/html" in request.headers.get("accept", "")
    return wants and request.method == "GET" and is_page(request.scope["path"])


def _only_this_machine(request: Request, hosts: tuple[str, ...]) -> None:
    """Turn away what a web page makes a browser on this machine send."""
    host = request.headers.get("host", "")
    name = _name(host)
    if name not in hosts and not is_loopback(name):
        raise Refusal(
            421,
            "wrong_host",
            f"{host!r} is not a name of this service; ask for localhost, or let the operator add it to BREGNAS_HOSTS",
            errors=[(("header", "Host"), "must name this machine's loopback address")],
        )


def _same_origin(request: Request, *, sent: bool) -> None:
    """Turn away a write that a page of another site makes a browser send. With a session an `Origin` must be there."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    if request.method in _SAFE or (origin is None and not sent):
        return
    if origin is None or origin.partition("://")[2] != host:
        who = "a session" if sent else f"a page of {origin!r}"
        raise Refusal(
            403,
            "foreign_origin",
            f"{who} may not write here without a key, but from this service's own pages",
            errors=[(("header", "Origin"), "must be this service's own address")],
        )


def _name(host: str) -> str:
    """What a `Host` header says without its port, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _unauthorized(detail: str, code: str, error: str | None = None) -> Refusal:
    challenge = 'Bearer realm="bregnas"' + (f', error="{error}"' if error else "")
    return Refusal(401, code, detail, headers={"WWW-Authenticate": challenge})
