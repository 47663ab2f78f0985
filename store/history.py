"""How did a search get where it is, epoch by epoch?"""

from typing import Any

from sqlalchemy import Connection, select

from store import layers, tables
from store.owners import number as number_of


def history(tx: Connection, search_id: str, *, tenant: str | None = None) -> dict[str, Any]:
    """Give the time series of a search by columns.

    `stages`, `epochs`, `train_loss`, `validation_loss`, `metrics`, `lr`, `lam`, `parameters`, `macs`, `seconds` are
    lists with one item for each recorded epoch, in the order of training (stages by their first epoch);
    `layers` has `name`, `width`, `searched` and `active`, a list as long as the others (None where an epoch has no
    count of that layer).
    """
    number = number_of(tx, search_id, tenant)
    rows = tx.execute(select(tables.epochs).where(tables.epochs.c.search == number)).all()
    begun: dict[str, float] = {}
    for row in rows:
        begun[row.stage] = min(row.recorded_at, begun.get(row.stage, row.recorded_at))
    rows = sorted(rows, key=lambda row: (begun[row.stage], row.stage, row.epoch))
    place = {(row.stage, row.epoch): index for index, row in enumerate(rows)}

    plan = layers.of(tx, number)
    active: list[list[int | None]] = [[None] * len(rows) for _ in plan]
    c = tables.epoch_counts.c
    for stage, epoch, position, count in tx.execute(
        select(c.stage, c.epoch, c.position, c.active).where(c.search == number)
    ):
        active[position][place[stage, epoch]] = count

    return {
        "stages": [row.stage for row in rows],
        "epochs": [row.epoch for row in rows],
        **{
            name: [getattr(row, name) for row in rows]
            for name in (
                "train_loss",
                "validation_loss",
                "metrics",
                "lr",
                "lam",
                "parameters",
                "macs",
                "seconds",
            )
        },
        "layers": [
            {"name": layer.name, "width": layer.width, "searched": layer.searched, "active": counts}
            for layer, counts in zip(plan, active, strict=True)
        ],
    }
