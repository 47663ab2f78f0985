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


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("equal", [{}, {"task": "denoise"}, {"task": "denoise", "shape": "bottleneck"}])
@pytest.mark.parametrize("after", [None, Place(1, 1, 0)])
def test_a_page_comes_from_an_index_in_its_order(
    engine: Engine, sort: architectures.Sort, equal: dict[str, str], after: Place | None
) -> None:
    is_sqlite = engine.dialect.name == "sqlite"
    statement = architectures.page(tenant="local", sort=sort, limit=20, after=after, **equal)
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()
    sql = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    with database.write(engine) as tx:
        if not is_sqlite:  # of an empty table everything is cheap
            tx.execute(text("SET LOCAL enable_seqscan = off"))
            tx.execute(text("SET LOCAL enable_bitmapscan = off"))
        explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
        plan = "\n".join(str(tuple(row)) for row in tx.execute(text(explain + sql)))
    assert "ix_architectures_tenant_" in plan, plan
    assert "SCAN architectures" not in plan, plan
    assert "Seq Scan on architectures" not in plan, plan
