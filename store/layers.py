"""Which layers does a search have?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from store import tables


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the superstructure; its position is its place in the list."""

    name: str
    width: int
    """Output groups: neurons or channels."""
    searched: bool = True
    """Whether its groups may vanish; an output layer usually stays whole."""


def replace(tx: Connection, number: int, layers: Sequence[Layer]) -> None:
    """Write the layers of a search, in place of those it had."""
    tx.execute(delete(tables.layers).where(tables.layers.c.search == number))
    rows = [
        {"search": number, "position": position, "name": layer.name, "width": layer.width, "searched": layer.searched}
        for position, layer in enumerate(layers)
    ]
    if rows:
        tx.execute(insert(tables.layers), rows)


def of(tx: Connection, number: int) -> list[Layer]:
    """Read the layers of a search in order."""
    t = tables.layers
    found = tx.execute(select(t.c.name, t.c.width, t.c.searched).where(t.c.search == number).order_by(t.c.position))
    return [Layer(name, width, searched) for name, width, searched in found]


def shown(layers: Sequence[Layer], active: Sequence[int] | None) -> list[dict[str, Any]]:
    """What a poll shows: name, width and active groups of each layer (None before the first epoch)."""
    if active is not None and len(active) != len(layers):
        raise ValueError(f"{len(active)} counts for {len(layers)} layers")
    return [
        {"name": layer.name, "width": layer.width, "active": None if active is None else active[position]}
        for position, layer in enumerate(layers)
    ]
