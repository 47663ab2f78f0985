"""Where is the service, and with which key? And how a `Request` becomes one of httpx."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import httpx

from bregnas.errors import Unreachable
from bregnas.profiles import Access
from bregnas.steps import Reply, Request

CONNECT_S = 10.0


def options(access: Access) -> dict[str, Any]:
    """What a client of httpx is made with. It follows no redirects: a key goes to the address that it is for."""
    headers = {"User-Agent": f"bregnas/{own_version()} Python/{platform.python_version()}"}
    if access.key is not None:
        headers["Authorization"] = f"Bearer {access.key}"
    return {"base_url": access.url, "headers": headers, "timeout": httpx.Timeout(30.0, connect=CONNECT_S)}


@contextmanager
def arguments(request: Request) -> Iterator[dict[str, Any]]:
    """The arguments of `httpx.Client.request`; a file is open meanwhile."""
    given: dict[str, Any] = {
        "method": request.method,
        "url": request.path,
        "params": list(request.params),
        "headers": dict(request.headers),
        "timeout": httpx.Timeout(request.wait_s, connect=CONNECT_S),
    }
    if request.body is not None:
        given["json"] = request.body
    if request.file is None:
        yield given
        return
    with request.file.open("rb") as file:
        yield given | {"files": {"file": (request.file_name or request.file.name, file)}}


def head(response: httpx.Response) -> Reply:
    """Status and headers alone, while the body is on its way."""
    return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()})


def reply(response: httpx.Response) -> Reply:
    """An answer that has been read."""
    return Reply(response.status_code, head(response).headers, response.content)


def unreachable(url: str, error: httpx.HTTPError) -> Unreachable:
    """What an error of the transport says to a user."""
    if isinstance(error, httpx.TimeoutException):
        return Unreachable(url, "it took too long")
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ConnectionRefusedError):
        cause = cause.__cause__ or cause.__context__
    return Unreachable(url, str(error) or type(error).__name__, refused=cause is not None)


def own_version() -> str:
    """The version of this package."""
    try:
        return version("bregnas")
    except PackageNotFoundError:
        return "unknown"
