"""What does a caller get when something is wrong? One document (RFC 9457) for every error of the API.

`code` is for programs and stays the same, `detail` and `errors` are for people and say what to change, `request_id`
is what the operator finds in the log. What went wrong inside is in the log alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from store.artifacts import ArtifactMissing, StoreUnavailable
from store.errors import IllegalTransition, NotFound

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "5"

_LONGEST = 500  # characters of one message: what a caller wrote comes back shortened
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_CODES = {404: "not_found", 405: "method_not_allowed"}
_DETAILS = {404: "nothing is here; the paths are in /openapi.json"}

DATABASE_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""What the database's library raises where the database cannot be used for now."""

_log = structlog.get_logger("app")


class FieldProblem(BaseModel):
    """One thing wrong in a request."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    loc: list[str | int]
    """Where: the path of the field in the posted document; or `query`, `path` or `header` and a name."""
    msg: str
    """What is wrong, and what to write instead."""


class Problem(BaseModel):
    """An error, as RFC 9457 lays it out."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Entity",
                    "status": 422,
                    "code": "invalid_request",
                    "detail": "superstructure.widths.0: Input should be greater than or equal to 1; given: 0",
                    "request_id": "req_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b",
                    "errors": [
                        {
                            "loc": ["superstructure", "widths", 0],
                            "msg": "Input should be greater than or equal to 1; given: 0",
                        }
                    ],
                }
            ]
        },
    )

    type: str = "about:blank"
    title: str
    """The status in words."""
    status: int
    code: str
    """Stable name of the error, for programs."""
    detail: str
    """What is wrong and what to change, for people."""
    request_id: str
    """To be found in the server's log; also in the header `X-Request-ID`."""
    errors: list[FieldProblem] = Field(default_factory=list)
    """What is wrong, field by field; empty where it is no field's fault."""


class Refusal(Exception):
    """Raised anywhere in a request to answer it with a problem."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Iterable[tuple[Sequence[str | int], str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = [(tuple(loc), msg) for loc, msg in errors]
        self.headers = headers


def invalid(errors: Iterable[tuple[Sequence[str | int], str]]) -> Refusal:
    """A 422 that lists what is wrong, field by field."""
    found = list(errors)
    loc, msg = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Refusal(422, "invalid_request", f"{_where(loc)}{msg}{more}", errors=found)


def unavailable(code: str, detail: str) -> Refusal:
    """A 503: something that this service stands on is away for now."""
    return Refusal(503, code, detail, headers={"Retry-After": RETRY_AFTER_S})


def database_away(error: Exception) -> Refusal:
    """The 503 for one of `DATABASE_AWAY`, whose own words go to the log."""
    _log.error("database_unavailable", error=str(error)[:_LONGEST])
    return unavailable("database_unavailable", "the database cannot be used at present; nothing was changed")


def response(refusal: Refusal, request_id: str) -> Response:
    """The answer that a refusal becomes."""
    document = Problem(
        title=HTTPStatus(refusal.status).phrase,
        status=refusal.status,
        code=refusal.code,
        detail=_short(refusal.detail),
        request_id=request_id,
        errors=[
            FieldProblem(loc=[_short(part) if isinstance(part, str) else part for part in loc], msg=_short(msg))
            for loc, msg in refusal.errors
        ],
    )
    headers = dict(refusal.headers or {})
    return Response(document.model_dump_json(), refusal.status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer with problems whatever the routes, the framework or the database raise."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return response(error, request.state.request_id)

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return response(invalid(_outside(e) for e in error.errors()[:20]), request.state.request_id)

    async def by_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        detail = _DETAILS.get(error.status_code, str(error.detail))
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(app, request))
            detail = f"{request.method} is not offered here; offered are: {headers['Allow']}"
        code = _CODES.get(error.status_code, "http_error")
        return response(Refusal(error.status_code, code, detail, headers=headers), request.state.request_id)

    async def without_database(request: Request, error: Exception) -> Response:
        return response(database_away(error), request.state.request_id)

    async def not_found(request: Request, error: Exception) -> Response:
        return response(Refusal(404, "not_found", str(error)), request.state.request_id)

    async def illegal(request: Request, error: Exception) -> Response:
        assert isinstance(error, IllegalTransition)
        return response(Refusal(409, "illegal_state", str(error)), request.state.request_id)

    async def artifacts_away(request: Request, error: Exception) -> Response:
        _log.error("artifacts_unavailable", error=str(error)[:_LONGEST])
        away = unavailable("artifacts_unavailable", "the artifact store cannot be used at present")
        return response(away, request.state.request_id)

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(NotFound, not_found)
    app.add_exception_handler(ArtifactMissing, not_found)
    app.add_exception_handler(IllegalTransition, illegal)
    app.add_exception_handler(StoreUnavailable, artifacts_away)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, by_framework)
    for away in DATABASE_AWAY:
        app.add_exception_handler(away, without_database)


def _allowed(app: FastAPI, request: Request) -> list[str]:
    # The framework names the methods of the first route of the path alone.
    def offers(method: str) -> bool:
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        return any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)

    return [method for method in _METHODS if offers(method)]


def _outside(error: Any) -> tuple[Sequence[str | int], str]:
    """What is wrong with a parameter of the path, the query or the headers."""
    given = error["input"]
    if error["type"] == "string_pattern_mismatch":
        return error["loc"], f"is not of the form {error['ctx']['pattern']}; given: {given!r}"
    return error["loc"], f"{error['msg']}; given: {given!r}"


def _where(loc: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in loc) + ": " if loc else ""


def _short(text: str) -> str:
    # What cannot be encoded (lone surrogates) is shown as its escape.
    line = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
