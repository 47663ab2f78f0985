"""What can go wrong for a caller of the client; every error is a `BregnasError`."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bregnas.documents import SearchDocument


class BregnasError(Exception):
    """Anything that the client raises by itself."""


class Unreachable(BregnasError):
    """No answer came from the service: it is not there, the connection broke, or it took too long.

    `refused` says that nothing listens at its address.
    """

    def __init__(self, url: str, reason: str, *, refused: bool = False) -> None:
        super().__init__(f"no answer from {url}: {reason}")
        self.url, self.reason, self.refused = url, reason, refused


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong in a request: the path of the field, and words that say what to change."""

    loc: tuple[str | int, ...]
    msg: str


class APIError(BregnasError):
    """The service refused a request: the problem document (RFC 9457) that it answered with.

    `code` is for programs, `errors` names fields, `request_id` is what the operator finds in the log.
    """

    def __init__(
        self, status: int, code: str, detail: str, request_id: str | None, errors: Sequence[FieldProblem] = ()
    ) -> None:
        super().__init__(f"{detail} ({status} {code}, {request_id})" if request_id else f"{detail} ({status} {code})")
        self.status, self.code, self.detail, self.request_id = status, code, detail, request_id
        self.errors = tuple(errors)

    @classmethod
    def of(cls, status: int, document: Any, text: str) -> "APIError":
        """The error of an answer; one that is no problem document, as of a proxy, is quoted."""
        if not isinstance(document, dict) or not isinstance(document.get("code"), str):
            phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "refused"
            said = f": {text[:200]}" if text else ""
            return cls(status, "http_error", f"{phrase}, which is no answer of Bregnas{said}", None)
        listed = document.get("errors")
        errors = [
            FieldProblem(tuple(one.get("loc", ())), str(one.get("msg", "")))
            for one in (listed if isinstance(listed, list) else ())
            if isinstance(one, dict)
        ]
        detail = str(document.get("detail") or document.get("title") or "")
        request_id = document.get("request_id")
        return cls(status, document["code"], detail, None if request_id is None else str(request_id), errors)


class SearchFailed(BregnasError):
    """The search ended as `failed`; `code` and `message` say why."""

    def __init__(self, search: "SearchDocument") -> None:
        self.search = search
        self.code = search.error.code if search.error else "unknown"
        self.message = search.error.message if search.error else "the service did not say why"
        super().__init__(f"{search.id} failed, {self.code}: {self.message}")


class SearchCancelled(BregnasError):
    """The search was cancelled."""

    def __init__(self, search: "SearchDocument") -> None:
        super().__init__(f"{search.id} was cancelled")
        self.search = search


class WaitTimeout(BregnasError, TimeoutError):
    """The time to wait is over; the search goes on. `search` is what was last known of it, if anything."""

    def __init__(self, search_id: str, timeout: float, search: "SearchDocument | None") -> None:
        state = f"is {search.status}" if search else "has not been heard of"
        super().__init__(f"{search_id} {state} after {timeout:g} s; it goes on, and can be waited for again")
        self.search_id, self.search = search_id, search


class DownloadDiffers(BregnasError):
    """What arrived is not what was published: its SHA-256 is another."""


class BundleInvalid(BregnasError):
    """A file or folder that is no bundle, or one that is not whole."""
