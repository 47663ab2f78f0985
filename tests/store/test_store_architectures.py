import itertools
import re
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.dialects import postgresql, sqlite

from store import architectures, database
from store.architectures import SORTS, Place
from store.shapes import shape


@pytest.mark.parametrize(
    ("widths", "kind", "waist", "ratio"),
    [
        ([], "flat", None, None),
        ([5, 5], "flat", None, None),
        ([5, 3, 3], "narrowing", None, None),
        ([3, 3, 5], "widening", None, None),
        ([8, 2, 2, 4], "bottleneck", 1, 0.5),
        ([2, 5, 2], "bulge", None, None),
        ([5, 2, 4, 3], "other", None, None),
    ],
)
def test_shapes(widths: list[int], kind: str, waist: int | None, ratio: float | None) -> None:
    found = shape(widths)
    assert (found.kind, found.waist, found.ratio) == (kind, waist, ratio)


_EQUAL: dict[str, Any] = {
    "task": "denoise",
    "data": "digits",
    "superstructure": "mlp",
    "name": "found",
    "shape": "bottleneck",
    "won": True,
}
_RANGES: dict[str, Any] = {"min_parameters": 5, "max_parameters": 50, "max_loss": 0.5}


def _plan(engine: Engine, statement: Any) -> str:
    is_sqlite = engine.dialect.name == "sqlite"
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()
    sql = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    with database.write(engine) as tx:
        if not is_sqlite:  # of a small table everything is cheap; what it cannot avoid it still does
            for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
                tx.execute(text(f"SET LOCAL enable_{way} = off"))
        explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
        return "\n".join(str(tuple(row)) for row in tx.execute(text(explain + sql)))


@pytest.mark.parametrize("sort", SORTS)
def test_a_page_is_found_in_the_index_of_its_sort_alone(engine: Engine, sort: architectures.Sort) -> None:
    way = "COVERING INDEX " if engine.dialect.name == "sqlite" else r"Index Only Scan (Backward )?using "
    alone = [{name: value} for name, value in (_EQUAL | _RANGES).items()]
    for filters, after in itertools.product([{}, *alone, _EQUAL | _RANGES], [None, Place(10, 1, 0)]):
        plan = _plan(engine, architectures.page(tenant="local", sort=sort, limit=20, after=after, **filters))
        assert re.search(f"{way}ix_architectures_by_{sort.removeprefix('-')}", plan), (filters, after, plan)
        for wrong in ("TEMP B-TREE", "Sort", "SCAN architectures", "Seq Scan on architectures"):
            assert wrong not in plan, (filters, after, plan)


@pytest.mark.parametrize(
    ("sort", "filters", "cursor", "begins"),
    [
        ("parameters", {"min_parameters": 5}, 10, "cursor"),
        ("parameters", {"min_parameters": 20}, 10, "filter"),
        ("-parameters", {"max_parameters": 50}, 10, "cursor"),
        ("-parameters", {"max_parameters": 5}, 10, "filter"),
        ("-loss", {"max_loss": 0.5}, 0.1, "cursor"),
        ("-loss", {"max_loss": 0.05}, 0.1, "filter"),
    ],
)
def test_a_deep_page_does_not_begin_where_the_first_does(
    sort: architectures.Sort, filters: dict[str, Any], cursor: float, begins: str
) -> None:
    """SQLite begins at one of two bounds, whichever: there is only the narrower."""
    statement = architectures.page(tenant="local", sort=sort, limit=20, after=Place(cursor, 1, 0), **filters)
    sql = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    by = sort.removeprefix("-")
    has_cursor, has_filter = f"(architectures.{by}, " in sql, re.search(rf"architectures\.{by} [<>]= ", sql)
    assert (bool(has_cursor), bool(has_filter)) == (begins == "cursor", begins == "filter"), sql
