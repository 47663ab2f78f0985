"""Sessions: a browser shows a key once, and is let in by a cookie that no script can read."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, Field

from app.auth import COOKIE, CallerDep
from app.problems import Refusal
from app.service import ServiceDep
from store import keys, sessions
from store.database import read, write

router = APIRouter(include_in_schema=False)


class Shown(BaseModel):
    """What the form of the key page sends."""

    key: Annotated[str, Field(max_length=200)]


@router.post("/session", status_code=204)
def begin_session(shown: Annotated[Shown, Body()], request: Request, service: ServiceDep) -> Response:
    """Begin a session with a key; 401 where it lets nobody in."""
    secret = shown.key.strip()
    with read(service.engine) as tx:
        key = keys.resolve(tx, secret) if keys.is_secret(secret) else None
    if key is None:
        raise Refusal(401, "invalid_key", "this key is not known here, or was revoked; ask whoever runs this service")
    with write(service.engine) as tx:
        token = sessions.begin(tx, key)
    answer = Response(status_code=204)
    is_secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, token, max_age=sessions.LASTS_S, path="/", secure=is_secure, httponly=True, samesite="strict"
    )
    return answer


@router.get("/session")
def look_at_session(caller: CallerDep, service: ServiceDep) -> dict[str, bool]:
    """Say whether this browser is let in, and whether a key lets it in, so that there is a session to end."""
    if caller.key_id is None and service.settings.require_key:
        raise Refusal(401, "no_session", "this browser has no session; show a key")
    return {"has_key": caller.key_id is not None}


@router.delete("/session", status_code=204)
def end_session(request: Request, service: ServiceDep) -> Response:
    """End the session of this browser; again does no harm."""
    with write(service.engine) as tx:
        sessions.end(tx, request.cookies.get(COOKIE, ""))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer
