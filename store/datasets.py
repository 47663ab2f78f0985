"""Which data sets were uploaded, and whose are they?

As in `store.searches` every function belongs to the transaction of its caller. The file of a set lies in the artifact
store before its row is written, so that a row never names what is not there; the row decides what counts. A tenant
has each file once: `sha256` is that of the file as it was sent.

A search names its set by the id alone. `hold` keeps the set while the search is written; `delete` refuses while a
search that is not over uses it.

Errors: `NotFound`, also for another tenant's set; `InUse`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy import delete as delete_from

from store.database import now
from store.errors import NotFound
from store.ids import is_id, new_id
from store.page import Page
from store.states import TERMINAL
from store.tables import LOCAL, datasets, searches

PREFIX = "dset"


class InUse(Exception):
    """A search that is not over uses the set."""

    def __init__(self, dataset_id: str, search_id: str) -> None:
        super().__init__(f"the search {search_id}, which is not over, uses {dataset_id}")
        self.dataset_id = dataset_id
        self.search_id = search_id


@dataclass(frozen=True, slots=True)
class Dataset:
    """An uploaded set as its row says; `size` is in bytes, as stored, `created_at` in Unix seconds."""

    id: str
    name: str
    sha256: str
    key: str
    size: int
    format: str
    fingerprint: str
    description: dict[str, Any]
    created_at: float


_SHOWN = [datasets.c[field.name] for field in fields(Dataset)]


def is_dataset_id(text: str) -> bool:
    """Tell whether a search's `data` names an uploaded set and not one of the catalogue."""
    return is_id(text, PREFIX)


def id_for_upload() -> str:
    """A new id, by which the file is stored before the row is written."""
    return new_id(PREFIX)


def create(
    tx: Connection,
    *,
    dataset_id: str,
    name: str,
    sha256: str,
    key: str,
    size: int,
    format: str,
    fingerprint: str,
    description: Mapping[str, Any],
    tenant: str = LOCAL,
) -> Dataset:
    """Write the row of a set; raises SQLAlchemy's IntegrityError where the tenant has the same file already."""
    tx.execute(
        insert(datasets).values(
            id=dataset_id,
            tenant=tenant,
            name=name,
            sha256=sha256,
            key=key,
            size=size,
            format=format,
            fingerprint=fingerprint,
            description=dict(description),
            created_at=now(),
        )
    )
    return get(tx, dataset_id, tenant=tenant)


def get(tx: Connection, dataset_id: str, *, tenant: str | None = LOCAL) -> Dataset:
    """Read one set; any tenant's with `tenant=None`, which is the worker's."""
    c = datasets.c
    statement = select(*_SHOWN).where(c.id == dataset_id)
    row = tx.execute(statement if tenant is None else statement.where(c.tenant == tenant)).one_or_none()
    if row is None:
        raise NotFound(dataset_id)
    return _dataset(row)


def same_file(tx: Connection, sha256: str, *, tenant: str = LOCAL) -> Dataset | None:
    """The set that a tenant made of the very same file, if there is one."""
    c = datasets.c
    row = tx.execute(select(*_SHOWN).where(c.tenant == tenant, c.sha256 == sha256)).one_or_none()
    return None if row is None else _dataset(row)


def list_page(tx: Connection, *, limit: int = 20, after: str | None = None, tenant: str = LOCAL) -> Page[Dataset]:
    """List a tenant's sets, newest first, from the one after the id `after` on."""
    c = datasets.c
    statement = select(*_SHOWN).where(c.tenant == tenant).order_by(c.id.desc()).limit(limit + 1)
    rows = tx.execute(statement if after is None else statement.where(c.id < after)).all()
    return Page([_dataset(row) for row in rows[:limit]], has_more=len(rows) > limit)


def hold(tx: Connection, dataset_id: str, *, tenant: str = LOCAL) -> None:
    """Keep a set from being deleted until this transaction has written a search that uses it."""
    c = datasets.c
    found = select(c.id).where(c.id == dataset_id, c.tenant == tenant).with_for_update(read=True)
    if tx.execute(found).one_or_none() is None:
        raise NotFound(dataset_id)


def delete(tx: Connection, dataset_id: str, *, tenant: str = LOCAL) -> str:
    """Delete a set's row; gives the key of its file, to be deleted once this is committed."""
    c, s = datasets.c, searches.c
    mine = (c.id == dataset_id) & (c.tenant == tenant)
    key: str | None = tx.scalar(select(c.key).where(mine).with_for_update())
    if key is None:
        raise NotFound(dataset_id)
    using = tx.scalar(
        select(s.id).where(s.tenant == tenant, s.state.not_in(sorted(TERMINAL)), s.data == dataset_id).limit(1)
    )
    if using is not None:
        raise InUse(dataset_id, using)
    tx.execute(delete_from(datasets).where(mine))
    return key


def existing(tx: Connection, ids: list[str]) -> set[str]:
    """Which of these sets exist, whosever they are."""
    return set(tx.scalars(select(datasets.c.id).where(datasets.c.id.in_(ids))))


def _dataset(row: Row[Any]) -> Dataset:
    return Dataset(**row._mapping)
