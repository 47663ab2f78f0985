"""Networks that nobody searched for, of a size that somebody asks for: what a found architecture has to beat.

A rival is a *shape* (relative widths of its searched layers) times one factor. The factor is the largest whose widths,
rounded down, stay within the limit; what is left over is filled by single neurons, first where rounding took most.
No layer gets more than one of them, unless the size would stay more than 2 % below the limit.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from spec.convnet import Convnet
from spec.graph import Graph, resized
from spec.mlp import Mlp
from spec.target import Size
from spec.unet import Unet

RivalName = Literal["flat", "scaled", "geometric", "ratio", "random"]

LARGEST_WIDTH = 65_536
WAIST = 0.25  # of an hour-glass, relative to its ends
SPREAD = 16.0  # the widest layer of a random shape is at most so many times as wide as its narrowest
RATIOS = (0.4, 0.6, 1.4, 2.0)
"""How many times as wide each further level is; 1 is flat, and so is left out."""

Shape = tuple[float, ...]
Widths = tuple[int, ...]


@dataclass(frozen=True)
class Rival:
    """A network to compare with; `name` tells it from the others of the same comparison ("flat-3", "random-1")."""

    name: str
    graph: Graph

    @property
    def widths(self) -> Widths:
        """Of its searched layers, in order."""
        return tuple(node.width for node in self.graph.searched())


def rivals(
    name: RivalName,
    superstructure: Mlp | Unet | Convnet,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    size: Size,
    limit: int,
    *,
    seed: int,
    count: int = 8,
) -> list[Rival]:
    """The rivals called `name` with `size(graph, None)` at most `limit` and as near to it as whole neurons allow.

    `size` must not fall when a layer gets wider. Each rival is within 2 % of `limit`, or a neuron in any of its layers
    would exceed it, or all its layers have the largest width, 65,536; the superstructure's widths are no bound. All
    but the widths is as in `superstructure`; outputs and skips are not searched. Layers that a sum ties have one width.
    Empty where nothing fits.

    - `flat`: equal widths, of an MLP one network for every depth from 1 to the superstructure's that fits. Widths
      differ by at most 1, and by more only where the 2 % cannot be had otherwise (narrower than about 50).
    - `scaled`: the superstructure's widths times one factor.
    - `geometric`: the superstructure's depth; widths on a geometric line from the number of inputs to that of the
      outputs, times one factor. Where both are the same number (autoencoders) the line would be flat: there it is an
      hour-glass, falling geometrically from the first layer to a waist of a quarter and back.
    - `ratio`: widths grow by one factor with every level (each halving of the image), one network for each of `RATIOS`.
      Where there is one level alone it is flat.
    - `random`: up to `count` different networks; relative widths log-uniform over a factor of 16, of an MLP its depth
      uniform from 1 to the superstructure's. They follow from `seed`.
    """
    bases = _bases(superstructure, input_shape, output_shape)
    most = count if name == "random" else max(len(bases), len(RATIOS))
    found: dict[Widths, Rival] = {}
    for label, depth, shape in _shapes(name, bases, isinstance(superstructure, Mlp), random.Random(seed), count):
        if len(found) == most:
            break
        graph = _fitted(bases[depth], shape, size, limit)
        if graph is not None:
            rival = Rival(label or f"{name}-{len(found) + 1}", graph)
            found.setdefault(rival.widths, rival)
    return list(found.values())


def _bases(
    superstructure: Mlp | Unet | Convnet, input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> list[Graph]:
    """The graphs whose widths are changed, by depth: an MLP of every number of hidden layers, a U-Net as it is."""
    if not isinstance(superstructure, Mlp):
        return [superstructure.graph(input_shape, output_shape)]
    plain = superstructure.model_copy(update={"group_head": False, "skips": "none"})
    widths = superstructure.widths
    return [
        plain.model_copy(update={"widths": widths[:depth]}).graph(input_shape, output_shape)
        for depth in range(1, len(widths) + 1)
    ]


def _shapes(
    name: RivalName, bases: list[Graph], of_mlp: bool, draw: random.Random, count: int
) -> Iterator[tuple[str, int, Shape]]:
    """Names, indices of bases and shapes to try, in order; an empty name is one to be numbered."""
    last = len(bases) - 1
    full = bases[last]
    sets = full.index_sets()
    match name:
        case "flat":
            for n, base in enumerate(bases):
                yield f"flat-{n + 1}" if of_mlp else name, n, (1.0,) * len(base.index_sets())
        case "scaled":
            yield name, last, tuple(float(full[layers[0]].width) for layers in sets)
        case "geometric":
            yield name, last, _geometric(len(sets), math.prod(full.input_shape), math.prod(full.output_shape))
        case "ratio":
            strides = full.strides()
            for ratio in RATIOS:
                yield f"ratio-{ratio:g}", last, tuple(ratio ** math.log2(strides[layers[0]]) for layers in sets)
        case "random":
            for _ in range(8 * count):  # some do not fit, or come twice
                depth = draw.randint(0, last)
                yield "", depth, tuple(SPREAD ** draw.random() for _ in bases[depth].index_sets())


def _fitted(base: Graph, shape: Shape, size: Size, limit: int) -> Graph | None:
    sets = base.index_sets()

    def by_layer(widths: Widths) -> dict[str, int]:
        return {layer: width for layers, width in zip(sets, widths, strict=True) for layer in layers}

    widths = _fit(shape, lambda widths: size(base, by_layer(widths)), limit)
    return None if widths is None else resized(base, by_layer(widths))


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
