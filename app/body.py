"""How is a posted document read? By hand, so that it is bounded, exact, and refused in words.

The framework's own reading would take any size, and would parse JSON before our types see it, which loses where the
text was wrong. Here the text goes to pydantic as it came.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import anyio
from fastapi import Depends, Request
from pydantic import ValidationError

from app.problems import Refusal, invalid
from spec import SearchSpec, explain

MAX_BYTES = 1_000_000
_DROPPED_BYTES = 100_000_000
_DROPPED_S = 5

_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS = 4300  # of an integer; longer ones the parser does not read
_HUGE = object()  # stands for one that is longer

# What the parser says, without where.
_TOO_DEEP = "recursion limit exceeded"
_TOO_LARGE = "number out of range"

REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SearchSpec"}}},
}


async def body(request: Request) -> bytes:
    """The whole body, if it is JSON by its header and not too large."""
    chunks = request.stream()
    try:
        _check_type(request)
        return await _read(request, chunks)
    except Refusal:
        await drop(request, chunks)
        raise


def posted_spec(raw: Annotated[bytes, Depends(body)]) -> SearchSpec:
    """The search in the body of a request; refuses with 400, 413, 415 or 422 and says why.

    In a thread: a body made to be wrong in as many places as 1 MB can hold takes half a second to explain.
    """
    return parse(raw)


def parse(raw: bytes) -> SearchSpec:
    """The search that a JSON text is; refuses with 400 or 422 and says why."""
    try:
        return SearchSpec.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0] if error.error_count() == 1 else None
        if first is not None and first["type"] == "json_invalid":
            raise not_json(raw, str(first["ctx"]["error"])) from None
        raise invalid((problem.loc, problem.msg) for problem in explain(error, SearchSpec)) from None


PostedSpec = Annotated[SearchSpec, Depends(posted_spec)]


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    media_type, _, parameters = given.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Refusal(
            415,
            "unsupported_media_type",
            f"the body must be JSON: send it with Content-Type: application/json; given: {given or 'none'}",
            errors=[(("header", "Content-Type"), "must be application/json")],
            headers={"Accept": "application/json"},
        )
    check_encoding(request)


def check_encoding(request: Request) -> None:
    """Refuse a compressed body: what it would unpack to cannot be bounded by its length."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refusal(
            415,
            "unsupported_media_type",
            f"the body must be sent as it is, without Content-Encoding; given: {encoding}",
            errors=[(("header", "Content-Encoding"), "leave it out")],
            headers={"Accept-Encoding": "identity"},
        )


async def _read(request: Request, chunks: AsyncIterator[bytes]) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BYTES:
        raise _too_large()
    raw = bytearray()
    async for chunk in chunks:  # also where no length was declared, or a wrong one
        raw += chunk
        if len(raw) > MAX_BYTES:
            raise _too_large()
    return bytes(raw)


async def drop(request: Request, rest: AsyncIterator[bytes]) -> None:
    """Read on for a while, and forget it, before a request is refused."""
    # Who is in the middle of sending does not read: answering now would reset the connection, and the answer be lost.
    # So some of the rest is read and dropped; who asked first (Expect) has not begun to send.
    if request.headers.get("expect", "").lower() == "100-continue":
        return
    left = _DROPPED_BYTES
    with anyio.move_on_after(_DROPPED_S):
        async for chunk in rest:
            left -= len(chunk)
            if left < 0:
                return


def _too_large() -> Refusal:
    return Refusal(
        413,
        "body_too_large",
        f"the body is larger than {MAX_BYTES:,} bytes; a search is far smaller, data does not belong into it",
        headers={"Connection": "close"},
    )


def not_json(raw: bytes, why: str) -> Refusal:
    """The refusal of a text that the parser refused with `why`."""
    if why.startswith(_TOO_DEEP):
        return invalid([((), f"nested too deeply ({why.removeprefix(_TOO_DEEP).strip()}); a search has four levels")])
    if why.startswith(_TOO_LARGE) and (loc := _first(raw, lambda value: value is _HUGE)) is not None:
        return invalid([(loc, f"is a number of more than {_DIGITS:,} digits; nothing in a search is that large")])
    if (loc := _first(raw, _is_half)) is not None:
        return invalid([(loc, "holds half of a surrogate pair, which is no character; write the character itself")])
    if raw.startswith(b"\xef\xbb\xbf"):
        why = "it begins with a byte order mark; save it without one"
    return Refusal(400, "invalid_json", f"the body is not valid JSON: {why or 'it is empty'}")


def _first(raw: bytes, is_wrong: Callable[[Any], bool]) -> tuple[str | int, ...] | None:
    """The path of a key or value that is wrong, if the text is wrong for no other reason than such ones."""
    try:
        document = json.loads(raw, parse_int=lambda text: int(text) if len(text) <= _DIGITS else _HUGE)
    except (ValueError, RecursionError):
        return None
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while waiting:
        loc, value = waiting.pop()
        if is_wrong(value):
            return loc
        if isinstance(value, list):
            waiting += [((*loc, index), item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            for key, item in value.items():
                if is_wrong(key):
                    return (*loc, key)
                waiting.append(((*loc, key), item))
    return None


def _is_half(value: Any) -> bool:
    return isinstance(value, str) and _SURROGATE.search(value) is not None
