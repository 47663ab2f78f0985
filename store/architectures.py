"""Which architectures were found, over all searches?

A row is a candidate of a search that has succeeded, written in the transaction that publishes it. A candidate without a
finite validation loss has no row: it could not be ranked. Pages go on after the sorted value, the search and the
position of their last row, so that a page costs the same wherever it begins.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, insert, literal, select, tuple_

from store import tables
from store.database import now
from store.finite import finite
from store.page import Page
from store.shapes import shape

Sort = Literal["parameters", "-parameters", "loss", "-loss", "created_at", "-created_at"]
SORTS: Final[tuple[str, ...]] = get_args(Sort)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in a sorted list."""

    value: float
    search: int
    position: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A row, with the id of its search; `place` is where it stands in the list that was asked for."""

    search_id: str
    name: str
    superstructure: str
    task: str
    data: str
    widths: list[int]
    parameters: int
    macs: int
    loss: float
    metrics: dict[str, Any]
    shape: str
    waist: int | None
    waist_ratio: float | None
    won: bool
    created_at: float
    place: Place


_SHOWN: Final = [
    tables.architectures.c[name] for name in Architecture.__dataclass_fields__ if name not in ("search_id", "place")
]


def add(tx: Connection, number: int, result: Mapping[str, Any]) -> None:
    """Write the candidates of a search's result."""
    s = tables.searches
    about = select(s.c.tenant, s.c.superstructure, s.c.task, s.c.data).where(s.c.number == number)
    of_search = dict(tx.execute(about).one()._mapping)
    rows = []
    for position, candidate in enumerate(result.get("candidates", ())):
        measured = finite(dict(candidate.get("validation") or {}))
        if measured.get("loss") is None or "parameters" not in candidate:
            continue
        widths = list(candidate["widths"])
        found = shape(widths)
        rows.append(
            {
                "search": number,
                "position": position,
                **of_search,
                "name": candidate["name"],
                "widths": widths,
                "parameters": candidate["parameters"],
                "macs": candidate["macs"],
                "loss": measured.pop("loss"),
                "metrics": measured,
                "shape": found.kind,
                "waist": found.waist,
                "waist_ratio": found.ratio,
                "won": candidate["name"] == result.get("winner"),
            }
        )
    if rows:
        tx.execute(insert(tables.architectures).values(created_at=now()), rows)


def list_page(
    tx: Connection,
    *,
    tenant: str,
    sort: Sort = "-created_at",
    limit: int = 20,
    after: Place | None = None,
    min_parameters: int | None = None,
    max_parameters: int | None = None,
    max_loss: float | None = None,
    **equal: str | bool | None,
) -> Page[Architecture]:
    """List a tenant's architectures; `equal` names columns and what they must be (None: anything)."""
    statement = page(
        tenant=tenant,
        sort=sort,
        limit=limit,
        after=after,
        min_parameters=min_parameters,
        max_parameters=max_parameters,
        max_loss=max_loss,
        **equal,
    )
    by = sort.removeprefix("-")
    rows = []
    # Filters combine to a thousand statements: kept compiled they would take 50 MB, compiling one takes a millisecond.
    for row in tx.execute(statement, execution_options={"compiled_cache": None}).mappings():
        values = dict(row)
        place = Place(values[by], values.pop("search"), values.pop("position"))
        rows.append(Architecture(**values, place=place))
    rows.sort(key=lambda row: astuple(row.place), reverse=sort.startswith("-"))
    return Page(rows[:limit], has_more=len(rows) > limit)


def page(
    *,
    tenant: str,
    sort: Sort,
    limit: int,
    after: Place | None = None,
    min_parameters: int | None = None,
    max_parameters: int | None = None,
    max_loss: float | None = None,
    **equal: str | bool | None,
) -> Any:
    """The statement behind `list_page`.

    The index of the sort holds all that is filtered by: the rows of the page are found in it alone, in their order, and
    only then looked up. So what passes no filter costs an entry of an index, and not a row.
    """
    c, s = tables.architectures.c, tables.searches.c
    by, falls = sort.removeprefix("-"), sort.startswith("-")
    key = [c[by], c.search, c.position]
    inner = select(c.search, c.position).where(c.tenant == tenant)
    inner = inner.order_by(*(part.desc() if falls else part for part in key)).limit(limit + 1)
    for name, value in equal.items():
        if value is not None:
            inner = inner.where(c[name] == value)
    limits = (("parameters", True, min_parameters), ("parameters", False, max_parameters), ("loss", False, max_loss))
    for column, is_least, bound in limits:
        if bound is None:
            continue
        if after is not None and column == by and is_least != falls:
            # Both bound the index on one side, and SQLite begins at either: only the narrower is said.
            if after.value >= bound if is_least else after.value <= bound:
                continue
            after = None
        inner = inner.where(c[column] >= bound if is_least else c[column] <= bound)
    if after is not None:
        ours, theirs = tuple_(*key), tuple_(literal(after.value), literal(after.search), literal(after.position))
        inner = inner.where(ours < theirs if falls else ours > theirs)
    found = inner.subquery()
    return (
        select(s.id.label("search_id"), *_SHOWN, c.search, c.position)
        .select_from(found)
        .join(tables.architectures, (c.search == found.c.search) & (c.position == found.c.position))
        .join(tables.searches, s.number == found.c.search)
    )
