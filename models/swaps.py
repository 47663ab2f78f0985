"""A search that begins at a size: from equal widths, channels move to where they are worth more."""

import math
from collections.abc import Callable, Sequence

import torch

from models.groups import sparse_start_
from models.network import Network
from models.selection import Held
from models.stepper import Stepper
from spec import Graph, Target, kept_counts

PERIOD = 0.6  # of the steps, in which channels move; then they are trained
EVENTS = 10  # into which this time is cut; at its end nothing moves
APART = 20  # steps between two of them at least
MARGIN = 2.0  # how many times as much a channel must be worth where it goes
MOVED = 0.15  # of the size at most moves in the first event, less in each further one
FADES = 0.95  # of the weight of a step, with every further one
WEAKEST = 1 / 3  # of a layer's channels, whose mean says what one more would be worth
LEAST = 0.25  # of its equal width that every layer keeps
ONCE = 0.6, 1.6  # of its width, between which a layer stays in one event

Sizer = Callable[[Sequence[int]], int]


class Swaps(Held):
    """Moves channels between stages of a network that begins with equal widths at the target (:func:`flat_start_`).

    What a stage is worth: over its layers the sum of the mean RMS(θ_g·∇_g) of the weakest third of their channels, by
    what one channel more in each of them costs. A move takes from the stage worth least and gives to the one worth
    most, while the two differ by more than `MARGIN`; what a layer is worth is taken to fall with the square of its
    width. In between nothing wakes up or falls asleep. With the last event, and the last step, single channels fill up.

    The mean square of θ_g·∇_g over the last steps (weighted by `FADES`) is kept in the optimiser's state of the biases
    of each index set's first layer, as "importance". To first order θ_g·∇_g is what the loss would change by without
    the channel (Molchanov, Mallya, Tyree, Frosio, Kautz, arXiv 1906.10771).
    """

    def __init__(self, stepper: Stepper, target: Target, steps: int) -> None:
        super().__init__(stepper, target, steps)
        flat = flat_widths(self.network.graph, self.size, self.limit)
        self.least = [max(1, int(LEAST * width)) for width in flat]
        self.stages = stages(self.network.graph)
        for bias in self._biases():
            self.optimizer.state[bias]["importance"] = torch.zeros_like(bias)

    @property
    def every(self) -> int:
        """Steps from one event to the next."""
        return max(APART, math.ceil(PERIOD * self.steps / EVENTS))

    def looks(self, step: int) -> bool:
        """Where channels move, and at the end: in between nothing wakes up."""
        return (step % self.every == 0 and step <= PERIOD * self.steps) or step == self.steps

    def after(self, step: int, *, ends_epoch: bool) -> None:
        """What is to be done after a step: hold awake what is awake, and move channels where it is time to."""
        self._hold(keep=True)
        period = PERIOD * self.steps
        if step % self.every == 0 and step < period:
            self.swap(1 - step / period)
        if step in (int(period) // self.every * self.every, self.steps):
            self.fill()

    @torch.no_grad()
    def swap(self, left: float) -> None:
        """Move channels, with `left` the share of the time for moves that is still to come."""
        before, values = self.counts(), self._values()
        worth = [_weakest(v[mask]) for v, mask in zip(values, self._masks(), strict=True)]
        after = moves(
            self.stages, before, worth, self.size, limit=self.limit, least=self.least,
            most=[len(v) for v in values], amount=MOVED * left * self.limit,
        )  # fmt: skip
        for index, (mask, value, bias) in enumerate(zip(self._masks(), values, self._biases(), strict=True)):
            order = torch.where(mask, value, math.inf).argsort(stable=True)
            for row in order[: max(0, before[index] - after[index])].tolist():
                self._silence(index, row)
                self.optimizer.state[bias]["importance"][row] = 0.0
        for index, row in self._waiting():
            if before[index] < after[index]:
                before[index] += 1
                self._lift(index, row)
        self.optimizer.apply_prox()

    def _values(self) -> list[torch.Tensor]:
        """RMS(θ_g·∇_g) of the groups of each index set."""
        return [self.optimizer.state[bias]["importance"].sqrt() for bias in self._biases()]

    def _biases(self) -> list[torch.Tensor]:
        """Of each index set the biases of its first layer, as the optimiser moves them."""
        if self.network.graph.bias == "free":  # then they belong to no group
            return [self.network.rows(self.network.graph[names[0]])["bias"] for names in self.sets]
        return [next(param for param in group["params"] if param.dim() == 1) for group in self._groups()]

    @torch.no_grad()
    def _note(self) -> None:
        super()._note()
        for group, bias in zip(self._groups(), self._biases(), strict=True):
            products = torch.zeros_like(bias)
            for param in group["params"]:
                if param.grad is not None:
                    products += (param * param.grad).reshape(len(bias), -1).sum(1)
            self.optimizer.state[bias]["importance"].lerp_(products.square(), 1 - FADES)


def moves(
    stages: Sequence[Sequence[int]],
    counts: Sequence[int],
    worth: Sequence[float],
    size: Sizer,
    *,
    limit: int,
    least: Sequence[int],
    most: Sequence[int],
    amount: float,
) -> list[int]:
    """The counts after channels have moved from stages that are worth little to stages that are worth much.

    Args:
        stages: index sets that gain and lose channels together.
        counts: how many channels each index set has.
        worth: of one more channel of each.
        size: of counts; it must not fall when one rises.
        limit: what `size` is at most, afterwards.
        least: channels that each keeps.
        most: channels that each can have.
        amount: how much moves, in units of `size`; the last move may exceed it.
    """
    now = list(counts)
    low, high = ([factor * count for count in counts] for factor in ONCE)

    def changed(widths: Sequence[int], stage: Sequence[int], by: int) -> list[int]:
        return [width + by * (i in stage) for i, width in enumerate(widths)]

    def value(stage: Sequence[int], widths: Sequence[int]) -> float:
        cost = size(changed(widths, stage, 1)) - size(widths)
        return sum(worth[i] * (counts[i] / widths[i]) ** 2 for i in stage) / cost

    moved = 0
    while moved < amount:
        takers = [stage for stage in stages if all(now[i] < min(most[i], high[i]) for i in stage)]
        if not takers:
            break
        taker = max(takers, key=lambda stage: value(stage, now))
        wanted = value(taker, now)
        then = changed(now, taker, 1)
        while size(then) > limit:
            givers = [
                stage for stage in stages if stage is not taker and all(then[i] > max(least[i], low[i]) for i in stage)
            ]
            giver = min(givers, key=lambda stage: value(stage, then), default=None)
            if giver is None or wanted <= MARGIN * value(giver, then):
                return now
            then = changed(then, giver, -1)
        moved += size(changed(now, taker, 1)) - size(now)
        now = then
    return now


def stages(graph: Graph) -> list[tuple[int, ...]]:
    """The index sets by stage, numbered as `graph.index_sets`.

    A stage is a chain of searched convolutions each of which reads the one before and nothing else, so at one
    resolution; every other layer is a stage of its own. Layers of one index set are in one stage.
    """
    number = {name: i for i, names in enumerate(graph.index_sets()) for name in names}
    found: list[set[int]] = []
    for node in graph.searched():
        source = graph[node.sources[0]]
        chain = {number[node.name]}
        if node.op == source.op == "conv" and source.searched:
            chain.add(number[source.name])
        found = [stage for stage in found if not stage & chain] + [chain.union(*(s for s in found if s & chain))]
    return sorted(tuple(sorted(stage)) for stage in found)


def flat_widths(graph: Graph, size: Sizer, limit: int) -> list[int]:
    """Widths by index set, equal as far as layers are wide enough, that measure at most `limit`; at least 1 each.

    What is left over is filled by single channels, first where the width is least, until not one more fits.
    """
    most = [graph[names[0]].width for names in graph.index_sets()]
    low, high = 1, max(most)
    while low < high:
        middle = (low + high + 1) // 2
        fits = size([min(middle, width) for width in most]) <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    widths = [min(low, width) for width in most]
    open_sets = {i for i, width in enumerate(widths) if width < most[i]}
    while open_sets:
        i = min(open_sets, key=lambda j: (widths[j], j))
        widths[i] += 1
        if size(widths) > limit:
            widths[i] -= 1
            open_sets.remove(i)  # for good: the others only get wider
        elif widths[i] == most[i]:
            open_sets.remove(i)
    return widths


def flat_start_(network: Network, target: Target, *, scale: float, generator: torch.Generator) -> None:
    """Begin a search with equal widths at the target, dense among themselves; all the other groups are exactly 0.

    Weights are normal with `scale` times He's deviation √(2 / fan_in), where fan_in counts the inputs that are awake.
    """
    graph = network.graph
    sets = graph.index_sets()

    def by_layer(counts: Sequence[int]) -> dict[str, int]:
        return {layer: count for layers, count in zip(sets, counts, strict=True) for layer in layers}

    widths = by_layer(flat_widths(graph, lambda counts: target.size(graph, by_layer(counts)), target.limit(graph)))
    sparse_start_(network, density=1.0, scale=scale, generator=generator)
    awake = kept_counts(graph, widths)
    with torch.no_grad():
        for node in graph.layers():
            rows = network.rows(node)
            inputs = sum(graph[source].width for source in node.sources) / sum(awake[source] for source in node.sources)
            rows["weight"].mul_(math.sqrt(inputs))
            if node.searched:
                rows["weight"][widths[node.name] :] = 0.0
                if graph.bias == "grouped":
                    rows["bias"][widths[node.name] :] = 0.0


def _weakest(values: torch.Tensor) -> float:
    """The mean of the smallest third of them."""
    return float(values.sort().values[: math.ceil(WEAKEST * len(values))].mean())
