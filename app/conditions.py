"""Has the caller got this already? Entity tags and `If-None-Match` (RFC 9110), for polls and downloads alike."""

import re

from fastapi import Request, Response

_TAGS = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def tag(*parts: str | int) -> str:
    """A strong entity tag."""
    return '"' + ".".join(str(part) for part in parts) + '"'


def is_known(request: Request, etag: str) -> bool:
    """Whether `If-None-Match` names this tag (or any: `*`)."""
    given = ", ".join(request.headers.getlist("if-none-match"))
    return given.strip() == "*" or etag in _TAGS.findall(given)


def not_modified(etag: str, headers: dict[str, str] | None = None) -> Response:
    """The answer to a caller that has it."""
    return Response(status_code=304, headers={"ETag": etag, **(headers or {})})
