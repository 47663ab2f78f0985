"""A search that ends at a size: λ is chosen again and again so that what is awake fills a growing budget."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from linbreg import BregmanOptimizer, GroupL1, quantile_lams
from models.groups import active_counts, scalar_counts
from models.network import Network
from spec import SIZES, Graph, Target

GROWTH = 0.6  # of the steps, over which the budget grows linearly; then neurons compete for what there is
LEAST = 0.5  # of the width that every layer would have if all had the same share of the budget; none has fewer
EVERY = 10  # steps
START = 0.25  # of the target, that a search begins with
_ENTRY = 1.01  # how far above its threshold a group is lifted that comes in at the end


class Budget:
    """Keeps a superstructure that is searched at or below a size.

    The dual is left as it is and only λ moves, so every state is one of linearised Bregman iterations. The budget
    begins with the size of the sparse start (and no more than the target), and grows linearly to the target. Layers of
    one index set have one λ and one count. Scalars of sums have a λ of their own, which stays; those that are not 0 are
    part of the size.
    """

    def __init__(self, network: Network, optimizer: BregmanOptimizer, target: Target, steps: int) -> None:
        self.network, self.optimizer, self.measure, self.steps = network, optimizer, target.measure, steps
        self.limit = target.limit(network.graph)
        self.sets = network.graph.index_sets()
        self.start = min(self.limit, self.size(active_counts(network)))
        self.keep(0)

    def size(self, counts: Mapping[str, Any]) -> Any:
        """The size with these counts of groups by layer, which may be tensors, in units of the target's measure."""
        return SIZES[self.measure](self.network.graph, {**counts, **scalar_counts(self.network)})

    def allowed(self, step: int) -> float:
        """The budget after `step` steps."""
        done = min(1.0, step / max(1.0, GROWTH * self.steps))
        return float(self.start + done * (self.limit - self.start))

    def after(self, step: int, *, ends_epoch: bool) -> None:
        """What is to be done after a step: every `EVERY` steps and with an epoch, λ; with the last step, the rest."""
        if step % EVERY == 0 or ends_epoch:
            self.keep(step)
        if step == self.steps:
            self.keep(step)
            self.fill()

    def keep(self, step: int) -> None:
        """Choose λ for the state after `step` steps, and let θ follow from the dual."""
        scores = [group["regularizer"].scores(self._duals(group))[0] for group in self._groups()]
        lams = quantile_lams(
            scores,
            lambda counts: self.size(self._by_layer(counts)),
            self.allowed(step),
            least=self._least(self.allowed(step)),
        )
        for group, lam in zip(self._groups(), lams, strict=True):
            group["regularizer"].lam = lam
        self.optimizer.apply_prox()

    def fill(self) -> None:
        """Let in what still fits, best first: at the end of a search, when λ alone would leave a gap.

        A group is lifted just above its threshold, so its weights begin near 0.
        """
        active = active_counts(self.network)
        counts = [active[layers[0]] for layers in self.sets]
        waiting = self._waiting()
        while waiting:
            fitting = [self._with_one_more(counts, index) <= self.limit for index in range(len(counts))]
            best = next((entry for entry in waiting if fitting[entry[1]]), None)
            if best is None:
                break
            waiting.remove(best)
            counts[best[1]] += 1
            self._lift(*best[1:])
        self.optimizer.apply_prox()

    def lams(self) -> list[float]:
        """λ of every index set."""
        return [group["regularizer"].lam for group in self._groups()]

    def _least(self, budget: float) -> list[int]:
        """How many groups each layer has at least: from a start that is thin the first layers would take all."""
        graph = self.network.graph
        share = LEAST * _even_share(graph, lambda counts: bool(self.size(counts) <= budget))
        return [max(1, int(share * graph[layers[0]].width)) for layers in self.sets]

    def _waiting(self) -> list[tuple[float, int, int]]:
        """The sleeping groups whose dual is not 0, best first: (-score, index set, row)."""
        waiting = []
        for index, group in enumerate(self._groups()):
            regularizer = group["regularizer"]
            asleep = ~regularizer.active(group["params"])[0]
            scores = regularizer.scores(self._duals(group))[0]
            waiting += [(-float(scores[row]), index, row) for row in asleep.nonzero()[:, 0].tolist() if scores[row] > 0]
        return sorted(waiting)

    def _lift(self, index: int, row: int) -> None:
        group = self._groups()[index]
        regularizer: GroupL1 = group["regularizer"]
        score = float(regularizer.scores(self._duals(group))[0][row])
        for dual in self._duals(group):
            dual[row] *= _ENTRY * max(regularizer.lam, torch.finfo(torch.float32).tiny) / score

    def _with_one_more(self, counts: Sequence[int], index: int) -> int:
        return int(self.size(self._by_layer([count + (i == index) for i, count in enumerate(counts)])))

    def _by_layer(self, counts: Sequence[Any]) -> dict[str, Any]:
        return {layer: count for layers, count in zip(self.sets, counts, strict=True) for layer in layers}

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups[: len(self.sets)]

    def _duals(self, group: dict[str, Any]) -> list[torch.Tensor]:
        return [self.optimizer.state[param]["dual"] for param in group["params"]]


def start_density(graph: Graph, target: Target, density: float) -> float:
    """The largest density up to `density` at which a sparse start takes at most a quarter of the target."""
    limit = START * target.limit(graph)
    return min(density, _even_share(graph, lambda counts: target.size(graph, counts) <= limit))


def _even_share(graph: Graph, fits: Callable[[dict[str, int]], bool]) -> float:
    """The largest share of the groups, the same in every searched layer, whose counts fit; at least one group each."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        counts = {node.name: max(1, math.ceil(middle * node.width)) for node in graph.searched()}
        low, high = (middle, high) if fits(counts) else (low, middle)
    return low
