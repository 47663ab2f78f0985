"""What does a page of architectures cost, whatever is asked for?

    python -m bench.retrieval [--database URL] [--searches 100000]

Fills the database first (`bench.seeding`). Then every filter alone (by a common, a rare and an absent value), pairs
of common ones and what no row has at all are combined with every sort and with cursors at the beginning, in the middle
and near the end. What is timed is the route's own function: the query, the documents, the JSON; three times each after
one that warms up. Prints quantiles, and the slowest.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from app.architectures import list_architectures
from app.service import Service
from app.settings import Settings
from bench.machine import description
from bench.seeding import UPLOADED, fill
from store import architectures, tables
from store.database import read
from store.settings import Settings as StoreSettings

TENANT = "local"
COMMON: dict[str, Any] = {
    "task": "denoise",
    "data": "mnist",
    "superstructure": "mlp",
    "candidate": "found",
    "shape": "bottleneck",
    "min_parameters": 20_000,
    "max_parameters": 40_000,
    "max_loss": 0.02,
    "won": True,
}
RARE: list[dict[str, Any]] = [
    {"data": UPLOADED[0]},
    {"shape": "flat"},
    {"task": "regress"},
    {"min_parameters": 300_000},
    {"max_parameters": 900},
    {"max_loss": 0.001},
    {"data": UPLOADED[0], "task": "regress"},
    {"data": UPLOADED[1], "shape": "bottleneck", "won": True},
    {"max_loss": 0.002, "min_parameters": 150_000},
]
NOTHING: list[dict[str, Any]] = [
    {"data": "none"},
    {"task": "none"},
    {"superstructure": "none"},
    {"candidate": "none"},
    {"shape": "bottleneck", "task": "none"},
    {"max_loss": 0.0},
    {"min_parameters": 10**12},
    {"max_loss": 1e-4, "max_parameters": 10_000},
    {"candidate": "none", "shape": "bottleneck", "task": "denoise"},
    {"superstructure": "none", "data": "mnist", "won": True},
]
DEPTHS = (None, 0.5, 0.99)


def cases() -> list[dict[str, Any]]:
    """The filters that are tried."""
    alone = [{name: value} for name, value in COMMON.items()]
    pairs = [dict(pair) for pair in itertools.combinations(COMMON.items(), 2)]
    return [{}, *alone, *pairs, COMMON, *RARE, *NOTHING]


def cursors(tx: Connection) -> dict[tuple[str, float | None], architectures.Place | None]:
    """Where a list by a sort is so and so deep, whatever the filters."""
    a = tables.architectures.c
    count = tx.scalar(select(func.count()).where(a.tenant == TENANT)) or 0
    found: dict[tuple[str, float | None], architectures.Place | None] = {}
    for sort in architectures.SORTS:
        key = [a[sort.removeprefix("-")], a.search, a.position]
        order = [column.desc() for column in key] if sort.startswith("-") else key
        for depth in DEPTHS:
            row = None
            if depth is not None:
                deep = select(*key).where(a.tenant == TENANT).order_by(*order).offset(int(depth * count)).limit(1)
                row = tx.execute(deep).one()
            found[sort, depth] = None if row is None else architectures.Place(*row)
    return found


def measure(service: Service, repeat: int = 3) -> list[tuple[float, str]]:
    """Milliseconds of every case, the fastest first."""
    from app.architectures import _cursor

    with read(service.engine) as tx:
        begin = cursors(tx)
    taken: list[tuple[float, str]] = []
    for filters, (sort, depth) in itertools.product(cases(), begin):
        place = begin[sort, depth]
        after = None if place is None else _cursor(sort, place)
        for turn in range(repeat + 1):
            began = time.perf_counter()
            list_architectures(service, TENANT, **filters, sort=sort, after=after, limit=20)
            if turn:
                taken.append(
                    (1000 * (time.perf_counter() - began), f"{sort} from {depth or 0:.0%} {json.dumps(filters)}")
                )
    return sorted(taken)


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description="Pages of architectures.")
    parser.add_argument(
        "--database", default=f"sqlite:///{tempfile.gettempdir()}/bregnas-load.db", help="its URL; kept"
    )
    parser.add_argument("--searches", type=int, default=100_000)
    given = parser.parse_args()
    rows = fill(given.database, given.searches)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        service = Service.open(Settings(StoreSettings(home, None, given.database, str(home / "artifacts"))))
        taken = measure(service)
        service.close()
    cuts = statistics.quantiles([ms for ms, _ in taken], n=100, method="inclusive")
    quantiles = {
        "pages": len(taken),
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
        "max_ms": taken[-1][0],
    }
    figures = {name: round(value, 1) for name, value in quantiles.items()}
    slowest: dict[str, float] = {}
    for ms, case in reversed(taken):
        slowest.setdefault(case, round(ms, 1))
    for case in list(slowest)[:10]:
        print(f"{slowest[case]:8.1f} ms  {case}")
    about = {"rows": rows, "database": given.database.partition(":")[0], "machine": description()}
    print(json.dumps({"retrieval": {**figures, **about}}))


if __name__ == "__main__":
    main()
