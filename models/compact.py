"""Exact steps of an MLP that is searched, at the price of what is active.

With the bias in its group and σ(0) = 0 a sleeping neuron emits exactly 0. So its outgoing weights have no gradient, and
an exact step needs the forward pass of the active neurons, the gradient of *all* neurons with respect to the active
inputs (sleepers must be able to wake), and the norms of all. `docs/compact.md` counts what that takes.
"""

import math
from collections.abc import Container, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from linbreg import AdaBreg, BregmanOptimizer, GroupL1
from models.activation import activation
from models.compact_blocks import Blocks
from models.compact_layers import Layer, Layers
from models.compact_rule import decay_steps, decays
from models.network import Network
from models.shrink import LayerDied, place, without
from models.stepper import LossOf, Stepper
from spec.graph import Node


class CompactMlp(Stepper):
    """Takes the steps of the plain one, to rounding, for networks and optimisers that `compact_rule.fits` says.

    Between steps weights do not exist: θ = scale·v is never formed, and `network` and the optimiser's state are empty
    until `write_back`. Active neurons stand in front, so that what is active is one block of every matrix.
    """

    kind = "compact"

    def __init__(self, network: Network, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(network, optimizer)
        self._layers: Layers | None = None
        self._small: Network | None = None  # what it shrinks to, until the next step
        self._parts: list[Blocks] = []
        self._lams: list[float] = []
        self._nodes = list(network.graph.layers())
        self._sigmas = [activation(node.activation, grouped_bias=True) for node in self._nodes]
        by_param = {id(param): group for group in optimizer.param_groups for param in group["params"]}
        self._groups = [by_param[id(network.layer(node).weight)] for node in self._nodes]
        self._adam = isinstance(optimizer, AdaBreg)
        self._betas = decays(self._groups[0])
        self._count = torch.zeros((), dtype=torch.float32)  # Adam's

    # What a step does

    def step(self, given: Tensor, loss_of: LossOf) -> float:
        """Do a step for the inputs `given`; returns the loss before it. One that is not finite moves nothing."""
        if self._layers is None:
            self._take()
        with torch.no_grad():
            output = self._forward(given)
        output.requires_grad_()
        with torch.enable_grad():
            loss = loss_of(self._finished(output))
            value = loss.item()
            if not math.isfinite(value):
                return value
            (slope,) = torch.autograd.grad(loss, output)
        with torch.no_grad():
            self._descend(slope)
            self._threshold()
            self._settle()
        return value

    def _forward(self, given: Tensor) -> Tensor:
        """The last layer's sums, (batch, outputs), each at its own place."""
        layers = self._held
        if not self._parts or len(self._parts[0].x) != len(given):
            self._divide(len(given))
        parts, inputs = self._parts, self.network.inputs
        x = parts[0].x[:, 1:].view(given.shape)
        torch.sub(given, inputs.mean, out=x).div_(inputs.std)
        for part in parts:
            z = part.z = torch.mm(part.x, part.dual).mul_(part.scale)
            if part.out is not None:
                part.sigma(z, part.out)
        if not layers.layers[-1].searched:
            return parts[-1].z
        full = given.new_zeros(len(given), layers.layers[-1].width)
        return full.index_copy_(1, layers.of(layers.places, len(parts) - 1)[: parts[-1].front], parts[-1].z)

    def _finished(self, output: Tensor) -> Tensor:
        """From the last layer's sums to what the network gives."""
        y = self._sigmas[-1](output).reshape(-1, *self.network.graph.output_shape)
        return y if self.network.outputs is None else self.network.outputs.restore(y)

    def _descend(self, slope: Tensor) -> None:
        """Move all duals; `slope` is the gradient of the loss with respect to the last layer's sums."""
        layers, last = self._held, len(self._parts) - 1
        layers.time += 1
        self._count += 1
        if layers.layers[last].searched:
            slope = slope.index_select(1, layers.of(layers.places, last))
        self._parts[last].receive(slope)
        for index in range(last, -1, -1):
            part, group = self._parts[index], self._groups[index]
            if index:
                torch.mul(part.own, part.scale, out=part.scaled)
                torch.mm(part.scaled, part.back, out=part.below)
                self._parts[index - 1].through()
            if not self._adam:
                part.step(group["lr"], group["momentum"], layers.owed.get(index))
            else:
                beta1, beta2 = group["betas"]
                torch._fused_adam_(
                    [part.rows], [part.gradient()], part.moments[:1], part.moments[1:], [], [self._count],
                    lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=0.0, eps=group["eps"],
                    amsgrad=False, maximize=False,
                )  # fmt: skip
            if layers.layers[index].searched:
                layers.measure(index)

    def _settle(self) -> None:
        """After the duals, or a λ, have changed: the new scales, and who is in front."""
        self._small = None
        self._held.rescale(self._groups[0]["delta"])
        changed = self._held.gather()
        if changed and self._parts:
            near = {index + step for index in changed for step in (-1, 0, 1, 2)}
            self._divide(len(self._parts[0].x), near)

    def _divide(self, batch: int, anew: Container[int] | None = None) -> None:
        """Cut the layers into the blocks that a step takes; only those `anew` whose fronts, or neighbours', moved."""
        layers, before = self._held, self._parts
        kept = before if before and len(before[0].x) == batch else [None] * len(self._nodes)
        self._parts = parts = [
            part if part is not None and anew is not None and index not in anew else Blocks(layers, index, part, batch)
            for index, part in enumerate(kept)
        ]
        for index, (under, part) in enumerate(pairwise(parts)):
            if under is not kept[index] or part is not kept[index + 1]:
                part.read(under, self._nodes[index].activation)
                under.look_ahead(part, lazy=not self._adam)
                part.pass_to(under)
        if not self._adam:
            layers.owe({index: part.shape_owed for index, part in enumerate(parts) if part.sleepers is not None})

    # What is asked between steps

    def counts(self) -> dict[str, int]:
        """Number of active groups of every searched layer."""
        if self._layers is None:
            return super().counts()
        return {name: int(mask.sum()) for name, mask in self.active().items()}

    def active(self) -> dict[str, Tensor]:
        """Which neurons of every searched layer are active: bool of shape (width,)."""
        layers, masks = self._held, dict[str, Tensor]()
        for index, node in enumerate(self._nodes):
            if node.searched:
                masks[node.name] = torch.zeros(node.width, dtype=torch.bool)
                masks[node.name][layers.of(layers.places, index)] = layers.of(layers.scales, index) != 0
        return masks

    def scores(self) -> list[Tensor]:
        """‖v_g‖/√n_g of the groups of each searched layer, in the order in which they stand."""
        if self._layers is None:
            return super().scores()
        self._layers.pay_all()
        norms = self._layers.squares.sqrt()
        return [
            self._layers.of(norms, index) / math.sqrt(1 + layer.inputs)
            for index, layer in enumerate(self._layers.layers)
            if layer.searched
        ]

    def apply_prox(self) -> None:
        """Let the scales follow from the dual, after a λ was changed."""
        if self._layers is None:
            super().apply_prox()
            return
        with torch.no_grad():
            self._threshold()
            self._settle()

    def model(self) -> torch.nn.Module:
        """The network without its sleeping neurons."""
        if self._layers is None:
            return super().model()
        try:
            return self.shrunk()
        except LayerDied:
            self.write_back()
            return self.network

    @torch.no_grad()
    def shrunk(self) -> Network:
        """The network without its sleeping neurons; raises LayerDied as `models.shrink` does."""
        if self._layers is None:
            return super().shrunk()
        if self._small is not None:
            return self._small
        layers = self._layers
        stand, masks = list[Tensor](), self.active()
        for index, node in enumerate(self._nodes):
            places, active = layers.of(layers.places, index), layers.of(layers.scales, index) != 0
            at = active.nonzero()[:, 0] if node.searched else places
            stand.append(at[places[at].argsort()])
        small, _ = without(self.network, masks, {})
        inputs = torch.arange(layers.layers[0].inputs)
        for index, (node, at) in enumerate(zip(self._nodes, stand, strict=True)):
            theta = layers.layers[index].dual[:, at] * layers.of(layers.scales, index)[at]
            rows = small.rows(node)
            rows["bias"].copy_(theta[0])
            rows["weight"].copy_(theta[1 + (stand[index - 1] if index else inputs)].t())
        for name in small.places:
            mask = masks[self._nodes[-1].name]
            small.places[name] = place(None, mask, torch.zeros(len(mask)), layers.squares.dtype)
        self._small = small.cpu()
        return self._small

    # To and from the plain form

    @property
    def _state_names(self) -> tuple[str, ...]:
        """What the optimiser keeps of every weight."""
        return ("dual", "exp_avg", "exp_avg_sq") if self._adam else ("dual", "momentum_buffer")[: 1 + len(self._betas)]

    @property
    def _held(self) -> Layers:
        assert self._layers is not None
        return self._layers

    @torch.no_grad()
    def _take(self) -> None:
        """Take the state over from `network` and the optimiser, which then have none of it."""
        group, betas, taken = self._groups[0], self._betas, []
        for node in self._nodes:
            own = [self.optimizer.state.pop(param) for param in self._params(node)]
            dual, *moments = (torch.cat([own[1][n][None], own[0][n].t()]).contiguous() for n in self._state_names)
            if self._adam:
                self._count = own[0]["step"].clone()
            taken.append(Layer(dual, tuple(moments), node.searched, front=node.width))
            for param in self._params(node):
                param.grad, param.data = None, param.new_empty(0)
        self._lams = []
        self._layers = layers = Layers(taken, int(decay_steps(betas)) if betas else 0, betas)
        if betas:  # who still moves the layer above stays in front
            for index in range(len(taken) - 1):
                layers.of(layers.awake, index)[taken[index + 1].moments[0][1:].any(1)] = 0
        for index, layer in enumerate(taken):
            if layer.searched:
                layers.measure(index)
        self._threshold()
        layers.rescale(group["delta"])
        layers.arrange()

    def write_back(self) -> None:
        """Let `network` and `optimizer` have all of the state, until the next step; θ of the λ that are now."""
        if self._layers is None:
            return
        assert isinstance(self.optimizer, BregmanOptimizer)
        layers, self._layers, self._parts = self._layers, None, []
        layers.pay_all()
        layers.catch_up()
        stand = [layers.of(layers.places, index).argsort() for index in range(len(self._nodes))]
        for index, node in enumerate(self._nodes):
            layer, (weight, bias) = layers.layers[index], self._params(node)
            for name, tensor in zip(self._state_names, layer.tensors(), strict=True):
                own = tensor[:, stand[index]]
                inputs = own[1:] if index == 0 else own[1 + stand[index - 1]]
                self.optimizer.state[weight][name] = inputs.t().contiguous()
                self.optimizer.state[bias][name] = own[0].clone()
            for param in (weight, bias):
                if self._adam:
                    self.optimizer.state[param]["step"] = self._count.clone()
                param.data = torch.empty_like(self.optimizer.state[param]["dual"])
            layers.layers[index].dual, layers.layers[index].moments = tensor.new_empty(0), ()
        self.optimizer.apply_prox()

    def _params(self, node: Node) -> list[torch.nn.Parameter]:
        rows = self.network.rows(node)
        return [rows["weight"], rows["bias"]]

    def _regularizers(self) -> list[GroupL1]:
        return [group["regularizer"] for group in self._groups if group["regularizer"] is not None]

    def _threshold(self) -> None:
        """Take thresholds from the regularisers, where a λ is not what it was."""
        layers, before = self._held, self._lams
        self._lams = [regularizer.lam for regularizer in self._regularizers()]
        if self._lams == before:
            return
        layers.pay_all()
        for index, (layer, group) in enumerate(zip(layers.layers, self._groups, strict=True)):
            if layer.searched:
                layers.of(layers.thresholds, index).fill_(group["regularizer"].lam * math.sqrt(1 + layer.inputs))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the next steps depend on: the form that it has, and who stands where."""
        if self._layers is None:
            return super().state()
        tensors, values = self._layers.state()
        lams = [regularizer.lam for regularizer in self._regularizers()]
        return {**tensors, "count": self._count}, {"kind": self.kind, "lams": lams, "applied": self._lams, **values}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, exactly."""
        if values["kind"] == "plain":
            self.write_back()
            super().restore(tensors, values)
            return
        if self._layers is None:
            self._take()
        self._parts, self._lams, self._small = [], values["applied"], None
        self._held.load(tensors, values)
        self._count.copy_(tensors["count"])
        self._held.rescale(self._groups[0]["delta"])
        for regularizer, lam in zip(self._regularizers(), values["lams"], strict=True):
            regularizer.lam = lam
