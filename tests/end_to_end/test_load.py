"""A short version of `bench.load`: nothing fails under polls and streams, and every route is really asked."""

import pytest

from bench.load import SHARES, percentiles, run
from bench.seeding import fill
from store.database import connect, read
from store.tables import architectures, epoch_counts, searches

pytestmark = pytest.mark.trains


def test_polls_and_streams_while_a_search_trains(databases):
    with databases.fresh(migrated=False) as url:
        rows = fill(url, searches=150)
        assert (rows["searches"], rows["architectures"]) == (150, 300)
        assert fill(url, searches=150) == rows, "what is filled stays as it is"
        figures = run(url, seconds=4, rate=100, streams=5)
    assert figures["errors"] == {}
    assert {status.partition(":")[0] for status in figures["statuses"]} == set(SHARES)
    assert any(status.endswith("304") for status in figures["statuses"]), "known answers are not sent again"
    assert figures["streams"]["events"] >= 5
    assert figures["polls"]["all"]["count"] == pytest.approx(400, abs=100)


def test_a_seed_gives_the_same_rows(databases):
    found = []
    for _ in range(2):
        with databases.fresh(migrated=False) as url:
            fill(url, searches=20, seed=5)
            engine = connect(url)
            with read(engine) as tx:
                found.append(
                    [sorted(map(str, tx.execute(table.select()))) for table in (searches, epoch_counts, architectures)]
                )
            engine.dispose()
    assert found[0] == found[1]


def test_percentiles():
    assert percentiles([float(ms) for ms in range(101)]) == {
        "count": 101,
        "p50": 50.0,
        "p95": 95.0,
        "p99": 99.0,
        "max": 100.0,
    }
