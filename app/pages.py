"""The pages: shells that hold nothing of anybody; what is live in them asks the API as any other caller does.

Nothing is fetched from elsewhere and nothing stands inline, so that the content security policy can say so: a name that
somebody gave to a search or a data set can never become a script.
"""

import re
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Jinja2Templates(_HERE / "templates")

SCRIPTS: Final = {
    "/": ("list", "Searches"),
    "/new": ("new", "New search"),
    "/searches/{id}": ("detail", "Search"),
    "/architectures": ("architectures", "Architectures"),
    "/compare": ("compare", "Compare"),
    "/key": ("key", "Key"),
    "/docs": ("docs", "API"),
}
"""Every page by its path: the name of its script, and its title."""

_NAV: Final = (("/", "Searches"), ("/new", "New search"), ("/architectures", "Architectures"), ("/docs", "API"))
_PATHS: Final = tuple(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in SCRIPTS)

HEADERS: Final = {
    # Pictures of data come as data URIs; the API's documentation has its icons in its style sheet.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


def is_page(path: str) -> bool:
    """Whether a page is at this path."""
    return any(pattern.fullmatch(path) for pattern in _PATHS)


async def page(request: Request) -> Response:
    """Answer with the shell of a page."""
    path = request.scope["route"].path
    script, title = SCRIPTS[path]
    known = {"script": script, "title": title, "nav": _NAV, "here": path}
    return _TEMPLATES.TemplateResponse(request, "page.html", known, headers=dict(HEADERS))


for _path in SCRIPTS:
    router.add_api_route(_path, page, methods=["GET"], response_class=Response)


class Static:
    """The files of the pages: compressed, asked for anew each time and mostly answered with 304."""

    def __init__(self) -> None:
        self._files: ASGIApp = GZipMiddleware(StaticFiles(directory=_HERE / "static"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *given]
            await send(message)

        await self._files(scope, receive, guarded)
