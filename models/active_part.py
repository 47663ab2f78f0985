"""The active part of a superstructure: what it computes and its exact gradients, at the price of what is active.

A sleeping group emits exactly 0, so the output is that of the active groups alone. But it needs a gradient by which it
can wake, and that comes back from the active groups that would read it. Beside the value of a node, which holds its
active entries, runs a *ghost*: its sleeping entries, zeros of which only the gradient is wanted. One walk over the
graph serves both; operations without weights treat a ghost as they treat a value.

Where a share p of all groups is active, the values of a layer cost p² of the dense ones; the gradient of all its
inputs, which its active groups send back, p; and that of the weights, of all groups by active inputs, p. The weights of
sleeping inputs have no gradient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from models.activation import Function, activation
from models.ghosts import ghost, passed
from models.network import Network
from models.ops import OPS, crop, dense
from models.products import PRODUCTS, Product
from spec.graph import Graph, Node, kept_indices

Value = tuple[torch.Tensor, torch.Tensor | None]
"""Of a node: its active entries, and the ghost of the others where there are any."""


class ActivePart:
    """Computes what `network` does, from the groups that `masks` calls active; the others must be exactly 0.

    `masks` has a mask of shape (width,) for every searched layer (:func:`models.groups.active_masks`), with an active
    group in each. `backward` leaves in the network's parameters the gradients that the network itself would have had.

    With `stand_ins` it is computed alone, without ghosts: they hold, for every parameter of the network, the rows of
    active groups (and all of a layer that is not searched), and get the gradients in place of the parameters.
    """

    def __init__(
        self,
        network: Network,
        masks: Mapping[str, torch.Tensor],
        stand_ins: Mapping[torch.Tensor, torch.Tensor] | None = None,
    ) -> None:
        if not has_active_part(network.graph):
            raise ValueError("sleeping groups of this graph emit something, or some of its operations are not known")
        if dead := [name for name, mask in masks.items() if not mask.any()]:
            raise ValueError(f"layer {dead[0]!r} has no active group")
        self.network, self.stand_ins = network, stand_ins
        graph = network.graph
        kept = kept_indices(graph, {name: mask.nonzero()[:, 0].tolist() for name, mask in masks.items()})
        device = next(network.parameters()).device
        self._places = {}
        for node in graph.layers():
            (source,) = node.sources
            rows, columns = (_split(graph[name].width, kept[name], device) for name in (node.name, source))
            self._places[node.name] = _Place(node, PRODUCTS[node.op], rows, columns, _slope(node))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *input_shape) → (batch, *output_shape)."""
        values: dict[str, Value] = {}
        for node, sigma, read, last in self.network.steps:
            given = [values[name] for name in read] or [(x, None)]
            run = self._layer if node.rule.weighted else self._pass
            values[node.name] = run(node, sigma, given)
            for name in last:
                del values[name]
        out, _ = values[self.network.graph.nodes[-1].name]
        return self.network.finish(out)

    def _layer(self, node: Node, sigma: Function, given: Sequence[Value]) -> Value:
        rows, place = self.network.rows(node), self._places[node.name]
        weight, bias = self._own(rows["weight"]), self._own(rows["bias"])
        if self.stand_ins is not None:
            x, _ = given[0]
            out = place.product.value(node, x, place.columns.of(weight, 1), bias)
            return sigma(crop(out, given[1][0]) if node.like else out), None
        out, sleeping = _Layer.apply(place, *given[0], weight, bias)  # type: ignore[no-untyped-call]
        if node.like:
            like, _ = given[1]
            out, sleeping = crop(out, like), None if sleeping is None else crop(sleeping, like)
        return sigma(out), sleeping

    def _pass(self, node: Node, sigma: Function, given: Sequence[Value]) -> Value:
        """An operation without weights: of the active entries, and of the sleeping ones."""
        part = self.network.part(node)
        if isinstance(part, torch.nn.Parameter):
            part = self._own(part)
        run, count = OPS[node.op].run, len(node.sources)
        out = run(node, part, [value for value, _ in given])
        ghosts = [sleeping for _, sleeping in given[:count] if sleeping is not None]
        if not ghosts:
            return sigma(out), None
        sizes = [value for value, _ in given[count:]]
        return sigma(out), sigma(passed(node, lambda values: run(node, part, [*values, *sizes]), ghosts, out))

    def _own(self, parameter: torch.Tensor) -> torch.Tensor:
        return parameter if self.stand_ins is None else self.stand_ins[parameter]


def has_active_part(graph: Graph) -> bool:
    """Whether sleeping groups of this graph emit exactly 0, whatever comes to them."""
    known = all(node.op in PRODUCTS for node in graph.layers()) and all(node.op != "place" for node in graph.nodes)
    zero = torch.zeros(())
    return known and graph.bias == "grouped" and all(float(_sigma(node)(zero)) == 0 for node in graph.searched())


def _sigma(node: Node) -> Function:
    return activation(node.activation, grouped_bias=True)


def _slope(node: Node) -> float:
    """σ′(0)."""
    with torch.enable_grad():
        zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(_sigma(node)(zero), zero)
    return float(slope)


@dataclass(frozen=True)
class _Split:
    """Entries of a node: the active ones, the others, and the active before the others."""

    active: torch.Tensor
    sleeping: torch.Tensor
    both: torch.Tensor

    def of(self, x: torch.Tensor, dim: int, *, sleeping: bool = False) -> torch.Tensor:
        """The active entries of `x` along `dim`; with `sleeping` the others behind them."""
        if not len(self.sleeping):
            return x
        return x.index_select(dim, self.both if sleeping else self.active)


def _split(width: int, active: Sequence[int], device: torch.device) -> _Split:
    mask = torch.zeros(width, dtype=torch.bool)
    mask[list(active)] = True
    parts = [m.nonzero()[:, 0].to(device) for m in (mask, ~mask)]
    return _Split(parts[0], parts[1], torch.cat(parts))


@dataclass(frozen=True)
class _Place:
    """A layer, how it is computed, and where its active groups and inputs lie; `slope` is σ′(0)."""

    node: Node
    product: Product
    rows: _Split
    columns: _Split
    slope: float

    def spread(self, found: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The gradient of all weights from that of groups by active inputs: of all groups, or of the active ones."""
        rows = self.rows.both[: len(found)]
        if len(self.columns.sleeping):
            return torch.zeros_like(weight).index_put_((rows[:, None], self.columns.active[None]), found)
        return _spread(found, weight, rows) if len(self.rows.sleeping) else found


def _spread(found: torch.Tensor, like: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(like).index_copy_(0, rows, found)


class _Layer(torch.autograd.Function):
    """A layer's product, before σ, and its ghost, which stands behind σ."""

    @staticmethod
    def forward(ctx: Any, place: _Place, x: torch.Tensor, _: Any, weight: torch.Tensor, bias: torch.Tensor) -> Any:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, bias)
        ctx.place = place
        active = place.columns.of(place.rows.of(weight, 0), 1)
        out = place.product.value(place.node, x, active, place.rows.of(bias, 0))
        sleeping = len(place.rows.sleeping)
        return out, ghost(out, sleeping) if sleeping else None

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        d, of_sleepers = gradients
        if d is None:
            return (None,) * 5
        place: _Place = ctx.place
        node, product, rows, columns = place.node, place.product, place.rows, place.columns
        x, weight, bias = ctx.saved_tensors
        of_x = of_ghost = None
        if ctx.needs_input_grad[1]:
            wanted = columns.of(rows.of(weight, 0), 1, sleeping=ctx.needs_input_grad[2])
            of_x = product.inputs(node, d, wanted, x)
            if ctx.needs_input_grad[2]:
                parts = torch.split(of_x, [len(columns.active), len(columns.sleeping)], dim=1)
                of_x, of_ghost = (dense(part) if part.dim() == 4 else part for part in parts)
        awake = d.shape[1]
        if of_sleepers is not None:
            d = torch.cat([d, of_sleepers], dim=1)
        of_weight, of_bias = product.weights(node, d, weight, x), d.sum([i for i in range(d.dim()) if i != 1])
        if place.slope != 1:
            of_weight[awake:] *= place.slope
            of_bias[awake:] *= place.slope
        of_weight = place.spread(of_weight, weight)
        if len(rows.sleeping):
            of_bias = _spread(of_bias, bias, rows.both[: len(of_bias)])
        return None, of_x, of_ghost, of_weight, of_bias
