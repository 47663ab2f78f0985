"""How does the client talk, whoever does the talking? Requests, retries, polling and paging without any I/O.

An operation is a generator: it yields a `Request` and is sent the `Reply`, or has `Unreachable` thrown into it; it
yields a `Pause` and goes on when that is over; it returns what was asked for. `client` and `async_client` drive the
same generators, one with a blocking connection and one with an awaited one.
"""

import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

from bregnas.documents import SearchDocument
from bregnas.errors import APIError, SearchCancelled, SearchFailed, Unreachable, WaitTimeout

T = TypeVar("T")

TRIES = 5
_REFUSED = 3  # tries where nothing listens: most likely nothing will
PATIENCE_S = 300.0
"""How long a wait without a time limit bears a service that is away."""
SHORTEST_S, LONGEST_S = 1.0, 15.0
_LONGEST_RETRY_S = 60.0
_AWAY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Request:
    """One HTTP request; `file` is sent as the form's field `file`, and `wait_s` is how long an answer may take."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    file_name: str = ""
    wait_s: float = 30.0


@dataclass(frozen=True)
class Pause:
    """Nothing to do for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Reply:
    """An answer; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""

    def document(self) -> Any:
        """The JSON in it, or None where there is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    def error(self) -> APIError:
        """The error that it is."""
        return APIError.of(self.status, self.document(), self.content[:1000].decode("utf-8", "replace").strip())


Steps = Generator[Request | Pause, Reply, T]


def send(request: Request, dice: random.Random | None = None) -> Steps[Reply]:
    """Send a request until it is answered, some tries long. Raises APIError and Unreachable.

    Every request of this client may be sent twice: what makes something new carries an `Idempotency-Key`, or is a file
    that the service knows by its hash.
    """
    dice = dice or random.Random()
    for left in reversed(range(TRIES)):
        wait = 0.5 * 2 ** (TRIES - 1 - left) * dice.uniform(0.75, 1.25)
        try:
            reply = yield request
        except Unreachable as error:
            if not left or (error.refused and left <= TRIES - _REFUSED):
                raise
        else:
            if reply.status < 400:
                return reply
            if reply.status not in (429, 503) or not left:
                raise reply.error()
            wait = max(wait, retry_after(reply))
        yield Pause(wait)
    raise AssertionError  # the last try returns or raises


def retry_after(reply: Reply) -> float:
    """Seconds that the service asks to be left alone for, at most a minute; 0 where it does not say."""
    given = reply.headers.get("retry-after", "")
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_S) if seconds == seconds else 0.0


def waiting(
    search_id: str,
    timeout: float | None = None,
    on_change: Callable[[SearchDocument], None] | None = None,
    *,
    longest_s: float = LONGEST_S,
    clock: Callable[[], float] = time.monotonic,
    dice: random.Random | None = None,
) -> Steps[SearchDocument]:
    """Poll a search until it has succeeded, and return it.

    Polls 1 s apart at first and up to `longest_s` later, give or take a fifth, each with the ETag of the one before. A
    service that is away is borne for the time that is left, or for `PATIENCE_S` where there is no `timeout`.

    Raises SearchFailed, SearchCancelled, WaitTimeout, APIError, Unreachable.
    """
    dice = dice or random.Random()
    began = heard = clock()
    known: SearchDocument | None = None
    etag, delay = "", SHORTEST_S
    while True:
        lost: Unreachable | APIError | None = None
        least = 0.0
        try:
            headers = {"If-None-Match": etag} if etag else {}
            reply = yield Request("GET", f"/v1/searches/{search_id}", headers=headers)
        except Unreachable as error:
            lost = error
        else:
            if reply.status in _AWAY:
                lost, least = reply.error(), retry_after(reply)
            elif reply.status >= 400:
                raise reply.error()
            elif reply.status == 200:
                etag = reply.headers.get("etag", "")
                known = SearchDocument.model_validate_json(reply.content)
                if on_change is not None:
                    on_change(known)
                if known.status == "succeeded":
                    return known
                if known.status == "failed":
                    raise SearchFailed(known)
                if known.status == "cancelled":
                    raise SearchCancelled(known)
        now = clock()
        heard = heard if lost else now
        if timeout is None and lost is not None and now - heard > PATIENCE_S:
            raise lost
        pause = max(least, delay * dice.uniform(0.8, 1.2))
        if timeout is not None:
            left = began + timeout - now
            if left <= 0:
                raise WaitTimeout(search_id, timeout, known)
            pause = min(pause, left)
        yield Pause(pause)
        delay = min(longest_s, delay * 1.5)
