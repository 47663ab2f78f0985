"""What the ways to reach a size share: the groups of a search by index set, their scores, and what still fits."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch

from linbreg import BregmanOptimizer
from models.groups import scalar_counts
from models.stepper import Stepper
from spec import SIZES, Graph, Target

LEAST = 0.5
"""Of the width that every layer would have if all had the same share of a growing budget; none has fewer."""
ENTRY = 1.01
"""How far above its threshold λ√n_g the dual of a group is lifted that is let in, so that its weights begin near 0."""
CAP = 0.99, 0.999
"""Of its threshold, to between which the dual of a group is squeezed that is not let in: the order stays."""


class Selection(ABC):
    """Keeps a superstructure that is searched at or below a size; its kinds say how.

    The optimiser has the groups of `models.groups.parameter_groups`. Layers of one index set have one count. All that a
    kind goes by is in the network, in the optimiser's state or follows from the number of steps done, so a search that
    is taken up from a checkpoint goes on as it would have.
    """

    def __init__(self, stepper: Stepper, target: Target, steps: int) -> None:
        self.stepper, self.network = stepper, stepper.network
        self.measure, self.steps = target.measure, steps
        self.limit = target.limit(self.network.graph)
        self.sets = self.network.graph.index_sets()

    @property
    def optimizer(self) -> BregmanOptimizer:
        """The optimiser of what the last step moved."""
        optimizer = self.stepper.moving
        assert isinstance(optimizer, BregmanOptimizer)
        return optimizer

    def looks(self, step: int) -> bool:
        """Whether sleeping groups matter `after` this step: where not, their duals may be those of an earlier one."""
        return True

    @abstractmethod
    def after(self, step: int, *, ends_epoch: bool) -> None:
        """What is to be done when `step` steps have been done."""

    def size(self, counts: Sequence[Any]) -> Any:
        """The size with these counts of groups by index set, which may be tensors, in units of the target's measure.

        Scalars of sums count where they are not 0.
        """
        return SIZES[self.measure](self.network.graph, {**self._by_layer(counts), **scalar_counts(self.network)})

    def counts(self) -> list[int]:
        """How many groups of each index set are awake."""
        return [int(mask.sum()) for mask in self._masks()]

    def fill(self) -> None:
        """Let in what still fits, best first, until there is no group left that does."""
        self.stepper.write_back()
        self._let_in(self.limit)
        self.stepper.apply_prox()

    def _let_in(self, budget: float, *, first: Sequence[int] = (), in_order: bool = False) -> None:
        """Lift the duals of sleeping groups that fit, best first.

        Index sets with fewer groups than `first` says come before the others. `in_order` ends with the first group
        that does not fit.
        """
        counts, closed = self.counts(), set[int]()
        missing = [least - count for least, count in zip(first, counts, strict=False)] or [0] * len(counts)
        early, late = list[tuple[int, int]](), list[tuple[int, int]]()
        for index, row in self._waiting():
            (early if missing[index] > 0 else late).append((index, row))
            missing[index] -= 1
        for index, row in (*early, *late):
            if index in closed:
                continue
            counts[index] += 1
            if self.size(counts) <= budget:
                self._lift(index, row)
                continue
            if in_order:
                return
            counts[index] -= 1
            closed.add(index)  # for good: the others only get wider

    def _waiting(self) -> list[tuple[int, int]]:
        """The sleeping groups, index set and row, best first."""
        waiting = []
        for index, (scores, mask) in enumerate(zip(self._scores(), self._masks(), strict=True)):
            rows = (~mask).nonzero()[:, 0]
            waiting += [(-s, index, row) for s, row in zip(scores[rows].tolist(), rows.tolist(), strict=True)]
        return [(index, row) for _, index, row in sorted(waiting)]

    @torch.no_grad()
    def _lift(self, index: int, row: int) -> None:
        """Put a group's dual just above its threshold; one that is 0, in a direction that follows from `row`."""
        group = self._groups()[index]
        duals, regularizer = self._duals(group), group["regularizer"]
        if all(not dual[row].any() for dual in duals):
            generator = torch.Generator().manual_seed(row)
            for dual in duals:
                dual[row] = torch.randn(dual[row].shape, generator=generator)
        score = float(regularizer.scores([dual[row : row + 1] for dual in duals])[0])
        for dual in duals:
            dual[row] *= ENTRY * max(regularizer.lam, torch.finfo(torch.float32).tiny) / score

    def _least(self, budget: float) -> list[int]:
        """How many groups each layer has at least: from a start that is thin a few layers would take all."""
        graph = self.network.graph
        share = LEAST * even_share(graph, lambda n: bool(self.size([n[layers[0]] for layers in self.sets]) <= budget))
        return [max(1, int(share * graph[layers[0]].width)) for layers in self.sets]

    def _by_layer(self, counts: Sequence[Any]) -> dict[str, Any]:
        return {layer: count for layers, count in zip(self.sets, counts, strict=True) for layer in layers}

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups[: len(self.sets)]

    def _duals(self, group: dict[str, Any]) -> list[torch.Tensor]:
        return [self.optimizer.state[param]["dual"] for param in group["params"]]

    def _masks(self) -> list[torch.Tensor]:
        """Which groups of each index set are awake: bool of shape (width,)."""
        return [group["regularizer"].active(group["params"])[0] for group in self._groups()]

    def _scores(self) -> list[torch.Tensor]:
        """‖v_g‖/√n_g of the groups of each index set: awake are those above λ."""
        return self.stepper.scores()


class Held(Selection):
    """A selection in which λ stays and no group wakes up that is not let in.

    After every step the dual of one that would is scaled back to just below its threshold, so that every state is one
    of linearised Bregman iterations. Who was awake before a step is read from the network just before it. Where the
    start is larger than the target its weakest groups are put to sleep.

    Raises ValueError where λ is 0: then nothing can be held asleep.
    """

    def __init__(self, stepper: Stepper, target: Target, steps: int) -> None:
        super().__init__(stepper, target, steps)
        if any(group["regularizer"].lam == 0 for group in self._groups()):
            raise ValueError("a λ of 0 keeps no group asleep; take one greater than 0")
        self._before = self._masks()
        stepper.tell_before_step(self._note)
        self._trim()

    def size(self, counts: Sequence[Any]) -> Any:
        """As without a fixed λ, but all scalars of sums count: they may wake up at any step."""
        return SIZES[self.measure](self.network.graph, self._by_layer(counts))

    def _note(self) -> None:
        """Before a step, gradients being there: who is awake."""
        self._before = self._masks()

    @torch.no_grad()
    def _hold(self, *, keep: bool) -> None:
        """Cap the sleepers that woke in this step; with `keep` nothing falls asleep either.

        The last group of a layer never does.
        """
        low, high = CAP
        changed = False
        for group, scores, before in zip(self._groups(), self._scores(), self._before, strict=True):
            lam = group["regularizer"].lam
            relative = (scores / lam).clamp(min=torch.finfo(torch.float32).tiny)
            woken, weak = ~before & (relative > low), before & (relative < ENTRY)
            if not keep:
                weak &= relative == torch.where(before, relative, 0.0).max()
            if (woken | weak).any():
                level = torch.where(woken, low + (high - low) * (1 - low / relative), relative)
                self._scale(group, torch.where(weak, ENTRY, level) / relative)
                changed = True
        if changed:
            self.optimizer.apply_prox()

    def _trim(self) -> None:
        """Put the weakest groups to sleep, down to one a layer, until what is left is no larger than the target."""
        counts = self.counts()
        masks, scores = self._masks(), self._scores()
        awake = sorted(
            (float(scores[index][row]), index, row)
            for index, mask in enumerate(masks)
            for row in mask.nonzero()[:, 0].tolist()
        )
        for _, index, row in awake:
            if self.size(counts) <= self.limit:
                break
            if counts[index] > 1:
                counts[index] -= 1
                self._silence(index, row)
        self.optimizer.apply_prox()

    @torch.no_grad()
    def _silence(self, index: int, row: int) -> None:
        """Put a group to sleep, its dual at 0."""
        for dual in self._duals(self._groups()[index]):
            dual[row] = 0.0

    def _scale(self, group: dict[str, Any], factors: torch.Tensor) -> None:
        """Multiply the duals of each group of an index set by its factor."""
        for dual in self._duals(group):
            dual *= factors.to(dual.dtype).view(-1, *[1] * (dual.dim() - 1))


def even_share(graph: Graph, fits: Callable[[dict[str, int]], bool]) -> float:
    """The largest share of the groups, the same in every searched layer, whose counts fit; at least one group each."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        counts = {node.name: max(1, math.ceil(middle * node.width)) for node in graph.searched()}
        low, high = (middle, high) if fits(counts) else (low, middle)
    return low
