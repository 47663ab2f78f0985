"""A search of depth: one training that begins linear, opens the layers that need it, and ends as a plain MLP."""

import math
from collections.abc import Callable
from typing import Any, Final

import torch

from linbreg.gates import GateRule, LayerGates, ramp_
from models.depth import Gated, hidden, linear, linear_from_, linear_start_, merge, mlp, plain, widest
from models.network import Network
from models.stepper import Stepper
from spec.graph import Graph
from spec.mlp import Mlp
from worker.checkpoint import Tensors, prefixed, under
from worker.linear import SCALING, closed_form, width_of_hidden
from worker.objective import Objective
from worker.outcome import Scores
from worker.samples import Samples
from worker.seeds import stream
from worker.training import WARM_UP, Schedule, Training

OPENING: Final = 0.4  # share of the steps after which no layer opens any more


class DepthTraining(Training):
    """Trains an MLP of at most `limit` (as `size` counts it) whose depth follows from the data.

    It begins with the superstructure's number of hidden layers, all linear and equally wide, at the limit: where the
    loss is squared as the best linear network of their rank (`worker.linear`), else, and without
    `closed_form_start`, at random. While `linbreg.gates.LayerGates` opens layers the step size is half of what it
    will be. Then the closed layers are merged, the others widened to the limit, and that network is trained on, with
    steps that warm up again. `network` is the present one; `finish` gives the plain one, the best by validation of
    those whose gates are all ±1.

    With `rule.least` 0 it may open nothing; then it ends as a linear network, one layer where that is small enough,
    else two without an activation between them.

    Raises ValueError where not even a neuron a layer fits the limit.
    """

    def __init__(
        self,
        name: str,
        superstructure: Mlp,
        lr: float,
        objective: Objective,
        samples: Samples,
        *,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        size: Callable[[Graph], int],
        limit: int,
        steps: int,
        batch_size: int,
        seed: int,
        rule: GateRule | None = None,
        closed_form_start: bool = True,
    ) -> None:
        self._shapes, self._superstructure = (input_shape, output_shape), superstructure
        self._size, self._limit = size, limit
        self._outputs = samples.outputs
        start = self._graph(self._widest([1] * len(superstructure.widths)))
        self.layers = [node.name for node in hidden(start)]
        """The hidden layers of the start, in order."""
        self._widths = [node.width for node in hidden(start)]
        network = Gated(start, samples.inputs, self._outputs)
        best = self._closed_form(start, objective, samples) if closed_form_start else None
        if best is None:
            linear_start_(network, stream(seed, name, "start"))
        else:
            few = samples.train.batch(torch.arange(min(SCALING, len(samples.train))))
            given, _ = objective.pair(*few, stream(seed, name, "scale"))
            linear_from_(network, best, given.cpu(), stream(seed, name, "start"))
        self.merged_at: int | None = None
        """Steps after which the closed layers were merged."""
        super().__init__(
            name, Stepper(network, _adam(network, lr)), Schedule("warm cosine", lr), objective, samples,
            steps=steps, batch_size=batch_size, seed=seed, keep_best=True,
        )  # fmt: skip
        self.opening = LayerGates(network.ordered_gates(), rule)

    @property
    def opened(self) -> list[str]:
        """The layers that became nonlinear, in the order in which they did, by their names at the start."""
        return [self.layers[index] for index in self.opening.opened]

    @property
    def gates(self) -> dict[str, float]:
        """Mean |g| of every layer of the start: 0 is linear, 1 is SiLU."""
        found = dict.fromkeys(self.layers, 0.0)
        now = self.layers if self.merged_at is None else self._kept
        for name, gate in zip(now, self._gated.ordered_gates(), strict=True):
            found[name] = float(gate.detach().abs().mean())
        return found

    @property
    def counts(self) -> dict[str, int]:
        """Neurons that are nonlinear, by layer of the start; 0 where it is linear or was merged away."""
        counts = dict.fromkeys(self.layers, 0)
        names = [node.name for node in hidden(self.network.graph)]
        if self.merged_at is None:
            return counts | {layer: self._widths[self.layers.index(layer)] for layer in self.opened}
        if not self.opening.opened:
            return counts
        return counts | {layer: self.network.graph[name].width for layer, name in zip(self._kept, names, strict=True)}

    @property
    def settled(self) -> bool:
        """Whether all gates are ±1, so that the network is a plain one."""
        return self.merged_at is not None and self.done - self.merged_at >= self._ramp

    def lr(self, step: int | None = None) -> float:
        """The step size of the next step, or after `step` of them: warm-up and cosine, halved until the merge."""
        step = self.done if step is None else step
        merged = self.merged_at is not None and step >= self.merged_at
        begun, factor = (self.merged_at or 0, 1.0) if merged else (0, 0.5)
        warm = min(1, (step - begun + 1) / WARM_UP)
        return self.schedule.peak * factor * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything that the rest of the training depends on."""
        tensors, values = super().state()
        opening = self.opening.state_dict()
        for name in ("duals", "signs"):
            tensors |= prefixed(name, {str(index): tensor for index, tensor in opening.pop(name).items()})
        return tensors, values | {"opening": opening, "merged_at": self.merged_at}

    def restore(self, tensors: Tensors, values: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        opening = dict(values["opening"])
        for name in ("duals", "signs"):
            opening[name] = {int(index): tensor for index, tensor in under(name, tensors).items()}
        self.opening.load_state_dict(opening)
        self.merged_at = values["merged_at"]
        if self.merged_at is not None:
            self._take(Gated(self._merged_graph(), self.samples.inputs, self._outputs))
        super().restore(tensors, values)

    def finish(self) -> Network:
        """The trained network, plain: the best by validation."""
        super().finish()
        return plain(self._gated)

    @property
    def _gated(self) -> Gated:
        assert isinstance(self.network, Gated)
        return self.network

    @property
    def _kept(self) -> list[str]:
        """The opened layers in the network's order."""
        return [self.layers[index] for index in sorted(self.opening.opened)]

    @property
    def _ramp(self) -> int:
        """Steps in which the gates that were not ±1 at the merge become so."""
        assert self.merged_at is not None
        return min(self.opening.rule.ramp, self.steps - self.merged_at)

    def _step(self, indices: torch.Tensor) -> float:
        loss = super()._step(indices)
        done = self.done + 1
        if self.merged_at is None:
            self.opening.step(loss)
            if done >= OPENING * self.steps:
                self.opening.finish()
            if self.opening.done:
                self.merged_at = done
                self._take(merge(self._gated, self._kept, self._merged_graph(), stream(self.seed, self.name, "widen")))
                if self._ramp == 0:  # that was the last step
                    for gate, signs in zip(self._gated.ordered_gates(), self._signs(), strict=True):
                        gate.copy_(signs)
        elif done - self.merged_at <= self._ramp:
            for gate, signs in zip(self._gated.ordered_gates(), self._signs(), strict=True):
                ramp_(gate, signs, 1 / self._ramp)
        return loss

    def _keep(self, scores: Scores) -> None:
        if self.settled:
            super()._keep(scores)

    def _signs(self) -> list[torch.Tensor]:
        """Where the gates of the merged network go: new neurons to 1."""
        signs = [torch.ones_like(gate) for gate in self._gated.ordered_gates()]
        for sign, index in zip(signs, sorted(self.opening.opened), strict=True):
            old = self.opening.signs[index]
            sign[: len(old)] = old
        return signs

    def _take(self, network: Gated) -> None:
        network.to(self.device)
        for gate in network.gates.values():
            gate.requires_grad_(False)
        self.stepper = Stepper(network, _adam(network, self.schedule.peak))

    def _graph(self, widths: tuple[int, ...]) -> Graph:
        return mlp(self._superstructure, widths, *self._shapes)

    def _widest(self, widths: list[int]) -> tuple[int, ...]:
        return widest(widths, lambda tried: self._size(self._graph(tuple(tried))), self._limit)

    def _closed_form(self, start: Graph, objective: Objective, samples: Samples) -> Network | None:
        """The best linear network of the rank that `start` has room for, where there is a closed form."""
        if self._superstructure.output_activation == "sigmoid":
            return None
        rank = min(node.width for node in hidden(start))
        return closed_form(objective, samples, *self._shapes, size=width_of_hidden, limit=rank)

    def _merged_graph(self) -> Graph:
        """What the closed layers leave, at the limit."""
        if self.opening.opened:
            return self._graph(self._widest([self._widths[index] for index in sorted(self.opening.opened)]))
        single = self._graph(())
        return single if self._size(single) <= self._limit else linear(self._graph(self._widest(self._widths[:1])))


def _adam(network: Gated, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.weights(), lr=lr, fused=True)
