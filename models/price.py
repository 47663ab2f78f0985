"""What a step costs, in multiplications: which way to take it follows from shapes and from what is active alone."""

import math
from collections.abc import Mapping
from typing import Final

import torch

from models.active_part import has_active_part
from spec.graph import Graph, kept_counts

SHARE: Final = 0.75
"""Of a dense step, that the active part may take at most: it also does what no multiplication is."""
LAYER: Final = 5e6
"""Multiplications in the time of a layer's fixed costs, which it has twice: of its values, and of its ghosts."""


class Price:
    """Whether a step of `graph` is cheaper from its active part."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.known = graph, has_active_part(graph)
        sizes = graph.sizes()
        self._pixels = math.prod(graph.input_shape[1:])
        self._factors = {
            node.name: node.kernel**2 * math.prod(sizes[node.sources[0] if node.op == "upconv" else node.name])
            for node in graph.layers()
        }
        self._below: set[str] = set()  # nodes whose value depends on weights
        for node in graph.nodes:
            if node.rule.weighted or self._below.intersection(node.sources):
                self._below.add(node.name)
        self._all = kept_counts(graph)

    def work(self, counts: Mapping[str, int]) -> tuple[int, int]:
        """Multiplications of a sample's values and gradients: all of them, and those of the active part.

        `counts` are the active groups of every searched layer.
        """
        dense, active, kept = 0, 0, kept_counts(self.graph, counts)
        for node in self.graph.layers():
            (source,) = node.sources
            factor, deep = self._factors[node.name], source in self._below
            out, into, some, few = self._all[node.name], self._all[source], kept[node.name], kept[source]
            dense += factor * out * into * (3 if deep else 2)
            active += factor * (some * few + out * few + (some * into if deep else 0))
        return dense, active

    def pays(self, counts: Mapping[str, int], given: torch.Tensor) -> bool:
        """Whether a step for the inputs `given` is cheaper, by a rule that looks at no clock. On a GPU it never is."""
        if not self.known or given.device.type != "cpu" or not all(counts.values()):
            return False
        dense, active = self.work(counts)
        samples = len(given) * math.prod(given.shape[2:]) / (self._pixels if given.dim() == 4 else 1)
        return active <= SHARE * dense and samples * (dense - active) >= LAYER * len(self._factors)
