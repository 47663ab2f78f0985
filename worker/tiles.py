"""How is an image run that is too large to be run at once? In tiles that overlap, with the same result as untiled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from spec import Graph
from spec.images import TILE_PIXELS

Run = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Tiling:
    """What a network of any image size needs to be run in tiles.

    `reach` is how many pixels away an input can lie and change an output; `stride` the pixels of the coarsest grid
    that the network works on (2^levels), which tiles must not shift; `pixels` how many are run at once.
    A network whose result depends on the image's size beyond its stride is not to be tiled.
    """

    reach: int
    stride: int = 1
    pixels: int = TILE_PIXELS

    @property
    def margin(self) -> int:
        """What a tile reads beyond what it gives: the reach, in whole strides."""
        return -(-self.reach // self.stride) * self.stride

    @property
    def core(self) -> int:
        """The side of what a tile gives, in whole strides: at least twice the margin, also where it then has more
        pixels than it should, so that a tile never costs more than four times what it gives."""
        room = int(self.pixels**0.5) - 2 * self.margin
        return max(room // self.stride * self.stride, 2 * self.margin, self.stride)


def tiling(graph: Graph) -> Tiling | None:
    """How networks of this graph, or shrunk from it, are run in tiles; None where they take images of one size."""
    return Tiling(graph.reach(), graph.stride()) if graph.takes_any_size else None


def run(network: Run, x: torch.Tensor, tiling: Tiling) -> torch.Tensor:
    """`network` on images (B, C, H, W), in tiles where they have more than `tiling.pixels` pixels together."""
    height, width = x.shape[2:]
    if len(x) * height * width <= tiling.pixels:
        return network(x)
    rows = []
    for top, bottom, above, below in _stretches(height, tiling):
        row = []
        for left, right, before, behind in _stretches(width, tiling):
            part = network(x[:, :, above:below, before:behind])
            row.append(part[:, :, top - above : bottom - above, left - before : right - before])
        rows.append(torch.cat(row, 3))
    return torch.cat(rows, 2)


def _stretches(length: int, tiling: Tiling) -> Iterator[tuple[int, int, int, int]]:
    """What each tile gives along an axis, and what it reads for that: (first, end, first read, end of reading)."""
    for first in range(0, length, tiling.core):
        end = min(first + tiling.core, length)
        yield first, end, max(0, first - tiling.margin), min(length, end + tiling.margin)
