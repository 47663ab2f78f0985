"""Networks that nobody searched for, of a size that somebody asks for: what a found architecture has to beat.

A rival is a *shape* (relative widths of its hidden layers) times one factor. The factor is the largest whose widths,
rounded down, stay within the limit; what is left over is filled by single neurons, first where rounding took most.
No layer gets more than one of them, unless the size would stay more than 2 % below the limit.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from spec.graph import Graph
from spec.mlp import Mlp

RivalName = Literal["flat", "scaled", "geometric", "random"]

LARGEST_WIDTH = 65_536
WAIST = 0.25  # of an hour-glass, relative to its ends
SPREAD = 16.0  # the widest layer of a random shape is at most so many times as wide as its narrowest

Shape = tuple[float, ...]
Widths = tuple[int, ...]


@dataclass(frozen=True)
class Rival:
    """A network to compare with; `name` tells it from the others of the same comparison ("flat-3", "random-1")."""

    name: str
    superstructure: Mlp


def rivals(
    name: RivalName,
    superstructure: Mlp,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    size: Callable[[Graph], int],
    limit: int,
    *,
    seed: int,
    count: int = 8,
) -> list[Rival]:
    """The rivals called `name` with `size(graph)` at most `limit` and as near to it as whole neurons allow.

    `size` must not fall when a layer gets wider. Each rival is within 2 % of `limit`, or a neuron in any of its layers
    would exceed it, or all its layers have the largest width, 65,536; the superstructure's widths are no bound. All
    but the widths is as in `superstructure`; outputs and skips are not searched. Empty where nothing fits.

    - `flat`: equal widths, one network for every depth from 1 to the superstructure's that fits. Widths differ by at
      most 1, and by more only where the 2 % cannot be had otherwise (narrower than about 50).
    - `scaled`: the superstructure's widths times one factor.
    - `geometric`: the superstructure's depth; widths on a geometric line from the number of inputs to that of the
      outputs, times one factor. Where both are the same number (autoencoders) the line would be flat: there it is an
      hour-glass, falling geometrically from the first layer to a waist of a quarter and back.
    - `random`: up to `count` different networks; depth uniform from 1 to the superstructure's, relative widths
      log-uniform over a factor of 16. They follow from `seed`.
    """

    def measure(widths: Widths) -> int:
        return size(_with(superstructure, widths).graph(input_shape, output_shape))

    ends = math.prod(input_shape), math.prod(output_shape)
    most = count if name == "random" else len(superstructure.widths)
    found: dict[Widths, str] = {}
    for label, shape in _shapes(name, superstructure.widths, ends, random.Random(seed), count):
        if len(found) == most:
            break
        widths = _fit(shape, measure, limit)
        if widths is not None and widths not in found:
            found[widths] = label or f"{name}-{len(found) + 1}"
    return [Rival(label, _with(superstructure, widths)) for widths, label in found.items()]


def _with(superstructure: Mlp, widths: Widths) -> Mlp:
    return superstructure.model_copy(update={"widths": widths, "group_head": False, "skips": "none"})


def _shapes(
    name: RivalName, widths: Widths, ends: tuple[int, int], draw: random.Random, count: int
) -> Iterator[tuple[str, Shape]]:
    """Names and shapes to try, in order; an empty name is one to be numbered."""
    depth = len(widths)
    match name:
        case "flat":
            yield from ((f"flat-{n}", (1.0,) * n) for n in range(1, depth + 1))
        case "scaled":
            yield name, tuple(map(float, widths))
        case "geometric":
            yield name, _geometric(depth, *ends)
        case "random":
            for _ in range(8 * count):  # some do not fit, or come twice
                layers = draw.randint(1, depth)
                yield "", tuple(SPREAD ** draw.random() for _ in range(layers))


def _geometric(depth: int, inputs: int, outputs: int) -> Shape:
    if inputs != outputs:
        return tuple(inputs ** (1 - i / (depth + 1)) * outputs ** (i / (depth + 1)) for i in range(1, depth + 1))
    middle = max(1, (depth - 1) // 2)  # layers from either end to the waist
    return tuple(WAIST ** (min(i, depth - 1 - i) / middle) for i in range(depth))


def _fit(shape: Shape, measure: Callable[[Widths], int], limit: int) -> Widths | None:
    """The largest widths of this shape that measure at most `limit`; None where one neuron a layer is too much."""

    def at(factor: float) -> Widths:
        return tuple(min(LARGEST_WIDTH, max(1, math.floor(factor * part))) for part in shape)

    low, high = 0.0, (LARGEST_WIDTH + 1) / min(shape)
    if measure(at(low)) > limit:
        return None
    if measure(at(high)) <= limit:
        return at(high)
    while any(above - below > 1 for below, above in zip(at(low), at(high), strict=True)):
        middle = (low + high) / 2
        low, high = (middle, high) if measure(at(middle)) <= limit else (low, middle)
    return _fill(at(low), tuple(high * part for part in shape), measure, limit)


def _fill(start: Widths, ideal: Shape, measure: Callable[[Widths], int], limit: int) -> Widths:
    """Add single neurons while they fit, where the width is least above `ideal`; see the module for how many."""
    widths, size = start, measure(start)
    open_layers = set(range(len(widths)))
    while open_layers:
        i = min(open_layers, key=lambda j: ((widths[j] + 1) / ideal[j], j))
        more = (*widths[:i], widths[i] + 1, *widths[i + 1 :])
        larger = measure(more)
        enough = widths[i] > start[i] and 50 * size >= 49 * limit
        if larger > limit or enough or widths[i] == LARGEST_WIDTH:
            open_layers.remove(i)  # for good: what does not fit now never will, the others only get wider
        else:
            widths, size = more, larger
    return widths
