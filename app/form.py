"""How is an uploaded file read? As a stream, into a file on disk, hashed on its way, never larger than allowed.

The framework's own reading of forms would spool without a bound of its own. Here the body's size is bounded whether
it was declared or not, memory holds one piece, and what is wrong is refused in words.
"""

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import anyio
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.body import check_encoding, drop
from app.problems import Refusal, invalid

FIELD: Final = "file"
SILENT_S: float = 60.0
_OVERHEAD: Final = 64 << 10  # bytes of a form besides the file
_PIECE: Final = 1 << 20
_LONGEST_NAME: Final = 100
_HOW: Final = "send the file as multipart/form-data in the field `file`: curl -F file=@images.zip …/v1/datasets"


@dataclass(frozen=True)
class Received:
    """A file that was received whole: the name that it was given (its last part), and its hash."""

    name: str
    sha256: str
    size: int


async def receive(request: Request, target: Path, limit: int) -> Received:
    """Write the file in the body of a request to `target`; refuses with 400, 408, 413, 415 or 422 and says why."""
    chunks = request.stream()
    try:
        boundary = _boundary(request)
        check_encoding(request)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > limit + _OVERHEAD:
            raise _too_large(limit)
        return await _read(chunks, boundary, target, limit)
    except Refusal:
        await drop(request, chunks)
        raise


def _boundary(request: Request) -> bytes:
    given = request.headers.get("content-type", "")
    kind, options = parse_options_header(given)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise Refusal(
            415,
            "unsupported_media_type",
            f"{_HOW}; given: {given or 'no Content-Type'}",
            errors=[(("header", "Content-Type"), "must be multipart/form-data")],
            headers={"Accept": "multipart/form-data"},
        )
    if not 1 <= len(boundary) <= 200:
        raise Refusal(
            400, "invalid_form", f"the Content-Type names no boundary of 1 to 200 characters, or a longer one; {_HOW}"
        )
    return boundary


async def _read(chunks: AsyncIterator[bytes], boundary: bytes, target: Path, limit: int) -> Received:
    with target.open("wb") as file:
        form = _Form(boundary, file, limit)
        waiting = bytearray()
        async for chunk in _in_time(chunks):
            waiting += chunk
            if len(waiting) >= _PIECE:
                await run_in_threadpool(form.feed, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(form.feed, bytes(waiting))
        return await run_in_threadpool(form.end)


async def _in_time(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces as they come; refuses a sender that has fallen silent, who would keep others from sending."""
    while True:
        with anyio.move_on_after(SILENT_S) as silence:
            chunk = await anext(chunks, None)
        if silence.cancelled_caught:
            raise Refusal(
                408,
                "upload_stalled",
                f"nothing came for {SILENT_S:g} seconds; nothing was stored, send the file again",
                headers={"Connection": "close"},
            )
        if chunk is None:
            return
        yield chunk


class _Form:
    """A form that holds one file, read piece by piece."""

    def __init__(self, boundary: bytes, file: BinaryIO, limit: int) -> None:
        self._file, self._limit = file, limit
        self._digest, self._size, self._total = hashlib.sha256(), 0, 0
        self._header, self._value, self._headers = b"", b"", dict[bytes, bytes]()
        self._taking = self._ended = False
        self._name: str | None = None
        self._others: list[str] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part,
                "on_header_field": self._on_header,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_end": self._on_end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        self._total += len(data)
        if self._total > self._limit + _OVERHEAD:
            raise _too_large(self._limit)
        try:
            self._parser.write(data)
        except (FormParserError, MultipartParseError) as error:
            raise Refusal(400, "invalid_form", f"the body is no multipart form ({error}); {_HOW}") from error

    def end(self) -> Received:
        """What was received; refuses where it is not whole."""
        if not self._ended:
            raise Refusal(400, "invalid_form", f"the form is empty or cut short, its last boundary is missing; {_HOW}")
        if self._name is None:
            named = f" instead of {', '.join(repr(name) for name in self._others[:3])}" if self._others else ""
            raise invalid([((FIELD,), f"the form needs a field named {FIELD!r}{named}; {_HOW}")])
        if self._size == 0:
            raise invalid([((FIELD,), "the file is empty")])
        self._file.flush()
        os.fsync(self._file.fileno())
        return Received(self._name, self._digest.hexdigest(), self._size)

    def _part(self) -> None:
        self._headers, self._header, self._value = {}, b"", b""

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        field = options.get(b"name", b"").decode("utf-8", "replace")
        self._taking = field == FIELD
        if not self._taking:
            self._others.append(field[:_LONGEST_NAME])
        elif self._name is not None:
            raise invalid([((FIELD,), "is given twice; one file is one data set")])
        else:
            self._name = _shown(options.get(b"filename", b""))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if not self._taking:
            return
        piece = memoryview(data)[start:end]
        self._size += len(piece)
        if self._size > self._limit:
            raise _too_large(self._limit)
        self._digest.update(piece)
        self._file.write(piece)

    def _on_end(self) -> None:
        self._ended = True


def _shown(filename: bytes) -> str:
    """The last part of a file's name, printable and short; it names nothing on this machine."""
    text = filename.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in text if character.isprintable())[:_LONGEST_NAME] or "upload"


def _too_large(limit: int) -> Refusal:
    return Refusal(
        413,
        "body_too_large",
        f"the file is larger than {limit:,} bytes, which is the most that this service takes (BREGNAS_UPLOAD_LIMIT)",
        errors=[((FIELD,), f"at most {limit:,} bytes")],
        headers={"Connection": "close"},
    )
