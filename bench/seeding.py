"""Fill a database as months of use would: finished searches with their layers, epochs, counts and architectures.

    python -m bench.seeding URL [--searches 100000] [--seed 1]

100,000 searches are about 10 million counts (layers x epochs). Which rows a search has follows from the seed and its
number alone, and searches are written 1,000 to a transaction: a run that was interrupted goes on, and one that finds
everything there does nothing. Seven of ten searches belong to the tenant `local`, the others to three more; one of ten
is on one of 200 uploaded sets. Only for a database that holds nothing else. Prints what is there.
"""

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Table, func, select, text

from spec import EXAMPLE
from store import database, tables
from store.shapes import shape

TENANTS = ["local"] * 7 + ["lab-a", "lab-b", "lab-c"]
TASKS = ["denoise"] * 5 + ["autoencode"] * 2 + ["deblur", "classify", "regress"]
DATA = ["mnist", "fashion-mnist", "digits", "mnist-5k", "photos"]
UPLOADED = [f"dset_{number:012x}7{number:03x}8{number:015x}" for number in range(200)]
_BATCH = 1000
_FIRST = 1_750_000_000.0  # when the first search was posted; one a minute follows

Rows = dict[Table, list[dict[str, Any]]]


def fill(url: str, searches: int = 100_000, seed: int = 1) -> dict[str, int]:
    """Migrate the database, write what is missing, and give the number of rows by table."""
    database.migrate(url)
    engine = database.connect(url)
    t = tables.searches
    with database.read(engine) as tx:
        there = tx.scalar(select(func.max(t.c.number)).where(t.c.created_at < _FIRST + 60 * (searches + 1))) or 0
    for first in range(there + 1, searches + 1, _BATCH):
        rows: Rows = defaultdict(list)
        for number in range(first, min(first + _BATCH, searches + 1)):
            _search(rows, number, random.Random(seed << 32 | number))
        with database.write(engine) as tx:
            for table in tables.metadata.sorted_tables:
                if rows[table]:
                    _write(tx, table, rows[table])
    if there < searches:
        _settle(url)
    with database.read(engine) as tx:
        found = (tables.searches, tables.epochs, tables.epoch_counts, tables.architectures)
        counted = {table.name: tx.scalar(select(func.count()).select_from(table)) or 0 for table in found}
    engine.dispose()
    return counted


def _search(rows: Rows, number: int, dice: random.Random) -> None:
    created = _FIRST + 60 * number + dice.random()
    about = {"superstructure": "mlp", "task": dice.choice(TASKS), "data": _data(dice)}
    found = list(_widths(dice))
    full = [dice.choice((256, 512, 784))] * len(found)
    ends = dice.choice((64, 256, 784))
    epochs = dice.randint(7, 30)
    loss = dice.lognormvariate(-4, 0.7)
    names = [f"hidden {position + 1}" for position in range(len(found))] + ["output"]
    layers = [
        {"name": name, "width": width, "active": active}
        for name, width, active in zip(names, [*full, ends], [*found, ends], strict=True)
    ]
    size = _parameters([ends, *found, ends])
    scores = [{"loss": loss * factor, "psnr": dice.uniform(12, 30)} for factor in (1.0, dice.uniform(0.8, 1.4))]
    winner = min((0, 1), key=lambda candidate: scores[candidate]["loss"])
    candidates = [
        {"name": name, "widths": found, "parameters": size, "macs": size, "validation": score}
        for name, score in zip(("found", "scratch"), scores, strict=True)
    ]
    end = created + 60.0 + epochs
    spec = {**EXAMPLE, "superstructure": {"kind": "mlp", "widths": full}, "data": about["data"]}
    tenant = TENANTS[number % len(TENANTS)]
    rows[tables.searches].append(
        {
            "number": number,
            "id": f"srch_{int(1000 * created):012x}7{dice.getrandbits(12):03x}8{dice.getrandbits(60):015x}",
            "name": f"search {number}", "state": "succeeded", "attempt": 1, "queue": "cpu", "version": epochs + 4,
            "tenant": tenant, "spec": json.dumps(spec), "metadata": json.dumps({"project": f"p{number % 50}"}), **about,
            "seed": number, "stage": "finetune", "epoch": 10, "epochs": 10, "layers": json.dumps(layers),
            "parameters": size, "macs": size, "train_loss": loss, "validation_loss": loss,
            "metrics": json.dumps({"psnr": scores[0]["psnr"]}),
            "result": json.dumps({"winner": candidates[winner]["name"], "candidates": candidates}),
            "bundle_name": "network.zip", "bundle_sha256": f"{dice.getrandbits(256):064x}",
            "created_at": created, "started_at": created + 1, "finished_at": end, "updated_at": end,
        }
    )  # fmt: skip
    rows[tables.attempts].append(
        {"search": number, "attempt": 1, "worker": "wrkr_seeded", "started_at": created + 1, "heartbeat_at": end,
         "ended_at": end, "outcome": "succeeded"}
    )  # fmt: skip
    rows[tables.layers] += [
        {"search": number, "position": position, "name": name, "width": width, "searched": name != "output"}
        for position, (name, width) in enumerate(zip(names, [*full, ends], strict=True))
    ]
    for epoch in range(1, epochs + 1):
        share = 0.05 + 0.95 * epoch / epochs
        rows[tables.epochs].append(
            {"search": number, "stage": "search", "epoch": epoch, "train_loss": loss / share,
             "validation_loss": loss / share, "lr": 0.003, "lam": 0.2, "parameters": int(size * share) + 1,
             "macs": int(size * share) + 1, "seconds": 1.0, "recorded_at": created + 1 + epoch}
        )  # fmt: skip
        rows[tables.epoch_counts] += [
            {"search": number, "stage": "search", "epoch": epoch, "position": position,
             "active": max(1, int(width * share))}
            for position, width in enumerate([*found, ends])
        ]  # fmt: skip
    rows[tables.events] += [
        {"search": number, "attempt": 1, "kind": kind, "data": "{}", "created_at": moment}
        for kind, moment in (("queued", created), ("starting", created + 1), ("succeeded", end))
    ]
    kind = shape(found)
    rows[tables.architectures] += [
        {"search": number, "position": position, "tenant": tenant, "name": candidate["name"], **about,
         "widths": json.dumps(found), "parameters": size, "macs": size, "loss": score["loss"],
         "metrics": json.dumps({"psnr": score["psnr"]}), "shape": kind.kind, "waist": kind.waist,
         "waist_ratio": kind.ratio, "won": position == winner, "created_at": end}
        for position, (candidate, score) in enumerate(zip(candidates, scores, strict=True))
    ]  # fmt: skip


def _data(dice: random.Random) -> str:
    return dice.choice(UPLOADED if dice.random() < 0.1 else DATA)


def _widths(dice: random.Random) -> Iterator[int]:
    """An hour-glass, a funnel, or anything, of 2 to 7 layers."""
    count, wide, kind = dice.randint(2, 7), dice.randint(40, 250), dice.random()
    for position in range(count):
        at = position / (count - 1)
        share = {True: abs(2 * at - 1), False: 1 - at}[kind < 0.5]
        yield dice.randint(4, wide) if kind > 0.8 else max(4, int(wide * (0.2 + 0.8 * share)))


def _parameters(widths: list[int]) -> int:
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))


def _write(tx: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    names = ", ".join(rows[0])
    connection: Any = tx.connection.driver_connection
    if tx.dialect.name == "postgresql":
        with connection.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(tuple(row.values()))
    else:
        places = ", ".join("?" * len(rows[0]))
        connection.executemany(
            f"INSERT INTO {table.name} ({names}) VALUES ({places})", [tuple(row.values()) for row in rows]
        )


def _settle(url: str) -> None:
    """What PostgreSQL's autovacuum comes to do by itself, and its sequence; SQLite's log back into the file."""
    engine = database.connect(url)
    if engine.dialect.name == "postgresql":
        with database.write(engine) as tx:
            tx.execute(text("SELECT setval(pg_get_serial_sequence('searches', 'number'), max(number)) FROM searches"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    else:
        with engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    engine.dispose()


def main() -> None:
    """Fill, and print the counts."""
    parser = argparse.ArgumentParser(description="Fill a database.")
    parser.add_argument("url")
    parser.add_argument("--searches", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    print(json.dumps({"rows": fill(given.url, given.searches, given.seed), "s": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
