"""Which requests does the API take? One function an operation; none of them does any I/O (see `steps`)."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from bregnas import documents as doc
from bregnas.errors import APIError
from bregnas.steps import Request, Steps, send
from spec import SearchSpec

T = TypeVar("T", bound=BaseModel)

_MOST = 100  # items of a page
_CHECK_S = 660.0  # the service takes up to ten minutes to read an upload


def specification(given: SearchSpec | Mapping[str, Any] | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a search: what is given whole, with single fields in place of its own.

    A data set stands for its name or id, and any part may be a model of `spec`.
    """
    whole = {} if given is None else _plain(given)
    return whole | {name: _plain(value) for name, value in fields.items()}


def create_search(body: Mapping[str, Any], key: str | None = None) -> Steps[doc.SearchDocument]:
    """Queue a search; sent again under the same `key` it stays one search."""
    return _made("/v1/searches", body, key)


def estimate_search(body: Mapping[str, Any]) -> Steps[doc.Estimate]:
    """What a search would amount to."""
    return _read(Request("POST", "/v1/searches/estimate", body=body), doc.Estimate)


def get_search(search_id: str) -> Steps[doc.SearchDocument]:
    """The search as it is now."""
    return _read(Request("GET", _search(search_id)), doc.SearchDocument)


def change_search(search_id: str, wish: str) -> Steps[doc.SearchDocument]:
    """Wish for `cancel`, `pause` or `resume`."""
    return _read(Request("POST", _search(search_id, wish)), doc.SearchDocument)


def clone_search(search_id: str, changes: Mapping[str, Any], key: str | None = None) -> Steps[doc.SearchDocument]:
    """Queue a search like another, with these fields in place of its own."""
    return _made(_search(search_id, "clone"), specification(None, changes), key)


def train_path(search_id: str, k: int, changes: Mapping[str, Any], key: str | None = None) -> Steps[doc.SearchDocument]:
    """Queue a search that trains an architecture of another's path on."""
    return _made(_search(search_id, "path", str(k)), specification(None, changes), key)


def delete_search(search_id: str) -> Steps[None]:
    """Forget a search with its artifacts."""
    return _done(Request("DELETE", _search(search_id)))


def get_layers(search_id: str) -> Steps[doc.History]:
    """Active neurons and losses, epoch by epoch."""
    return _read(Request("GET", _search(search_id, "layers")), doc.History)


def get_path(search_id: str) -> Steps[doc.Page[doc.PathEntry]]:
    """The architectures that a search met on its way."""
    return _read(Request("GET", _search(search_id, "path")), doc.Page[doc.PathEntry])


def list_artifacts(search_id: str) -> Steps[doc.Page[doc.Artifact]]:
    """What a search has published."""
    return _read(Request("GET", _search(search_id, "artifacts")), doc.Page[doc.Artifact])


def list_superstructures() -> Steps[doc.Page[doc.Superstructure]]:
    """The kinds of networks to search in."""
    return _read(Request("GET", "/v1/superstructures"), doc.Page[doc.Superstructure])


def model(search_id: str, candidate: str | None) -> Request:
    """The download of the winner's bundle, or of another candidate's."""
    return Request("GET", _search(search_id, "model"), _given(candidate=candidate))


def artifact(search_id: str, name: str) -> Request:
    """The download of one artifact."""
    return Request("GET", _search(search_id, "artifacts", name))


def events(search_id: str, after: int) -> Request:
    """The stream of what happens after an event; it pings every 15 s."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    return Request("GET", _search(search_id, "events"), headers=headers, wait_s=45.0)


def add_dataset(file: Path, name: str) -> Steps[doc.DataSet]:
    """Upload a file."""
    return _read(Request("POST", "/v1/datasets", file=file, file_name=name, wait_s=_CHECK_S), doc.DataSet)


def get_dataset(name: str) -> Steps[doc.DataSet]:
    """What is known of a data set, by its name in the catalogue or its id."""
    return _read(Request("GET", f"/v1/datasets/{quote(name, safe='')}"), doc.DataSet)


def delete_dataset(dataset_id: str) -> Steps[None]:
    """Forget an uploaded set."""
    return _done(Request("DELETE", f"/v1/datasets/{quote(dataset_id, safe='')}"))


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list that comes in pages of `path`; `most` items of it are wanted, or all."""

    path: str
    model: type[T]
    params: tuple[tuple[str, str], ...]
    most: int | None = None

    def page(self, after: str | int | None, seen: int) -> Steps[doc.Page[T]]:
        """The page after a cursor, where so many items were seen before."""
        limit = _MOST if self.most is None else max(1, min(_MOST, self.most - seen))
        params = (*self.params, *_given(limit=limit, after=after))
        return _read(Request("GET", self.path, params), doc.Page[self.model])  # type: ignore[name-defined]  # made at run time

    def cut(self, page: doc.Page[T], seen: int) -> Sequence[T]:
        """What is wanted of a page."""
        return page.data if self.most is None else page.data[: self.most - seen]

    def goes_on(self, page: doc.Page[T], seen: int) -> bool:
        """Whether to ask for another page, `seen` items being taken."""
        return page.has_more and page.last_id is not None and (self.most is None or seen < self.most)


def list_searches(
    status: str | None, metadata: Mapping[str, str] | None, most: int | None
) -> Listing[doc.SearchDocument]:
    """Searches, newest first."""
    pairs = tuple((f"metadata[{key}]", value) for key, value in (metadata or {}).items())
    return Listing("/v1/searches", doc.SearchDocument, (*_given(status=status), *pairs), most)


def list_datasets(most: int | None) -> Listing[doc.DataSet]:
    """The catalogue, then the uploaded sets, newest first."""
    return Listing("/v1/datasets", doc.DataSet, (), most)


def list_architectures(most: int | None, **filters: Any) -> Listing[doc.Architecture]:
    """What searches have found."""
    return Listing("/v1/architectures", doc.Architecture, _given(**filters), most)


def _made(path: str, body: Mapping[str, Any], key: str | None) -> Steps[doc.SearchDocument]:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return _read(Request("POST", path, body=body, headers=headers), doc.SearchDocument)


def _read(request: Request, model: type[T]) -> Steps[T]:
    reply = yield from send(request)
    try:
        return model.model_validate_json(reply.content)
    except ValidationError as error:
        said = f"what came is no answer of Bregnas: {reply.content[:100].decode('utf-8', 'replace')!r}"
        raise APIError(reply.status, "no_answer", said, None) from error


def _done(request: Request) -> Steps[None]:
    yield from send(request)


def _search(search_id: str, *rest: str) -> str:
    return "/".join(["/v1/searches", *(quote(part, safe="") for part in (search_id, *rest))])


def _given(**values: Any) -> tuple[tuple[str, str], ...]:
    """Query parameters of what is not None, as the API spells them."""
    return tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in values.items()
        if value is not None
    )


def _plain(value: Any) -> Any:
    if isinstance(value, doc.DataSet):
        return value.reference
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
