"""What shape do the widths of a network's searched layers have?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Kind = Literal["bottleneck", "narrowing", "widening", "flat", "bulge", "other"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape; of a bottleneck also its layer, counted from 0, and its width over the smaller of both ends."""

    kind: Kind
    waist: int | None = None
    ratio: float | None = None

    @property
    def depth(self) -> float | None:
        """How much narrower the waist is than the smaller end: 0 to 1."""
        return None if self.ratio is None else 1 - self.ratio


def shape(widths: Sequence[int]) -> Shape:
    """Name the shape of a list of widths.

    `flat`: all equal, one or none. `narrowing`, `widening`: never growing, never shrinking. `bottleneck`: never
    growing, then never shrinking, with a minimum below both ends; of equal minima the first is the waist. `bulge`: the
    same upside down. `other`: all else.
    """
    steps = [after - before for before, after in pairwise(widths)]
    falls, rises = any(step < 0 for step in steps), any(step > 0 for step in steps)
    if not falls:
        return Shape("widening" if rises else "flat")
    if not rises:
        return Shape("narrowing")
    signs = [step > 0 for step in steps if step]
    turns = sum(before != after for before, after in pairwise(signs))
    if turns > 1:
        return Shape("other")
    if signs[0]:
        return Shape("bulge")
    least = min(widths)
    return Shape("bottleneck", list(widths).index(least), least / min(widths[0], widths[-1]))
