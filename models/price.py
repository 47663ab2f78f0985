"""What a step costs, in multiplications: which way to take it follows from shapes and from what is active alone."""

import math
from collections.abc import Mapping
from typing import Final, Literal

import torch

from models.active_part import has_active_part
from spec.graph import Graph, kept_counts

SHARE: Final = 0.75
"""Of the multiplications of a dense step, that the active part may take at most."""
SAVED: Final = 60e6
"""Multiplications that it must save, on the mean of all layers: what else it does takes the time of nearly so many."""


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

    def work(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Multiplications of a sample's values and gradients: `dense`, `exact` from the active part, and it `alone`.

        `counts` are the active groups of every searched layer.
        """
        dense, exact, alone, kept = 0, 0, 0, kept_counts(self.graph, counts)
        for node in self.graph.layers():
            (source,) = node.sources
            factor, deep = self._factors[node.name], source in self._below
            out, into, some, few = self._all[node.name], self._all[source], kept[node.name], kept[source]
            dense += factor * out * into * (3 if deep else 2)
            exact += factor * (some * few + out * few + (some * into if deep else 0))
            alone += factor * some * few * (3 if deep else 2)
        return {"dense": dense, "exact": exact, "alone": alone}

    def pays(self, counts: Mapping[str, int], given: torch.Tensor, way: Literal["exact", "alone"]) -> bool:
        """Whether such a step for the inputs `given` is cheaper than a dense one; on a GPU it is not said to be.

        It looks at no clock: a search takes the same steps wherever it runs.
        """
        if not self.known or given.device.type != "cpu" or not all(counts.values()):
            return False
        work = self.work(counts)
        samples = len(given) * (math.prod(given.shape[2:]) / self._pixels if given.dim() == 4 else 1)
        saved = samples * (work["dense"] - work[way]) / len(self._factors)
        return work[way] <= SHARE * work["dense"] and saved >= SAVED
