"""MLPs whose layers are linear until their gates open: the start, the merge, and the plain network at the end."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from linbreg.gates import gated
from models.activation import activation
from models.network import Affine, Network
from spec.graph import Graph, Node
from spec.mlp import Mlp

MAX_WIDTH = 65_536


class Gated(Network):
    """An MLP whose hidden layers compute z + g ⊙ z·tanh(z/2): `gates[layer]`, of shape (width,), are 0 at first.

    A hidden layer of activation "none" has no gates. `graph` says what the network is once all gates are ±1, and
    :func:`plain` makes it so. Raises ValueError where a hidden layer has another activation than these two.
    """

    def __init__(self, graph: Graph, inputs: Affine | None = None, outputs: Affine | None = None) -> None:
        super().__init__(graph, inputs, outputs)
        if others := {node.activation for node in hidden(graph)} - {"silu", "none"}:
            raise ValueError(f"gates go from linear to silu, not to {', '.join(sorted(others))}")
        open_to = [node for node in hidden(graph) if node.activation == "silu"]
        self.gates = nn.ParameterDict({node.name: nn.Parameter(torch.zeros(node.width)) for node in open_to})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *input_shape) → (batch, *output_shape)."""
        value = self.inputs.standardize(x).flatten(1)
        for node in self.graph.layers():
            value = self.layer(node)(value)
            if node.name in self.gates:
                value = gated(value, self.gates[node.name])
            else:
                value = activation(node.activation, grouped_bias=True)(value)
        out = value.reshape(-1, *self.graph.output_shape)
        return self.outputs.restore(out) if self.outputs is not None else out

    def ordered_gates(self) -> list[nn.Parameter]:
        """The gates of the layers that have any, from the first to the last."""
        return [self.gates[node.name] for node in hidden(self.graph) if node.name in self.gates]

    def weights(self) -> list[nn.Parameter]:
        """All parameters but the gates."""
        return list(self.layers.parameters())


def hidden(graph: Graph) -> list[Node]:
    """The layers of an MLP but its head."""
    return list(graph.layers())[:-1]


def mlp(
    superstructure: Mlp, widths: Sequence[int], input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> Graph:
    """The graph of `superstructure` with other hidden widths and a head that is not searched; none: one linear map."""
    like = superstructure.model_copy(update={"widths": tuple(widths), "group_head": False})
    return like.graph(input_shape, output_shape)


def linear(graph: Graph) -> Graph:
    """The same graph with identities for hidden activations."""
    names = {node.name for node in hidden(graph)}
    nodes = tuple(n.model_copy(update={"activation": "none"}) if n.name in names else n for n in graph.nodes)
    return graph.model_copy(update={"nodes": nodes})


def widest(widths: Sequence[int], size: Callable[[Sequence[int]], int], limit: int) -> tuple[int, ...]:
    """`widths`, all wider by as much as `size` ≤ `limit` allows, and then one by one, the narrowest first.

    Raises ValueError where `widths` themselves are too large.
    """
    if size(widths) > limit:
        raise ValueError(f"widths {tuple(widths)} have the size {size(widths):,}, the limit is {limit:,}")
    low, high = 0, MAX_WIDTH - max(widths)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size([w + middle for w in widths]) <= limit else (low, middle - 1)
    found = [width + low for width in widths]
    while True:
        for index in sorted(range(len(found)), key=found.__getitem__):
            wider = [width + (i == index) for i, width in enumerate(found)]
            if wider[index] <= MAX_WIDTH and size(wider) <= limit:
                found = wider
                break
        else:
            return tuple(found)


def linear_start_(network: Gated, generator: torch.Generator) -> Gated:
    """A deep linear start: standard deviation √(1 / fan_in), the head's √(0.3 / fan_in), biases and gates 0.

    He's √(2 / fan_in) would be right for SiLU and lets a linear network explode with its depth.
    """
    layers = list(network.graph.layers())
    with torch.no_grad():
        for node in layers:
            module = network.layer(node)
            variance = (0.3 if node is layers[-1] else 1.0) / module.in_features
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * math.sqrt(variance))
            module.bias.zero_()
        for gate in network.gates.values():
            gate.zero_()
    return network


def linear_from_(network: Gated, best: Network, x: torch.Tensor, generator: torch.Generator) -> Gated:
    """A deep linear start that computes what `best` does: two linear layers, of at most the rank of `network`.

    The map is split evenly between the first layer and the head, up to a factor with which the first layer's
    outputs on `x` (batch, *input_shape) have variance 1; orthogonal matrices, drawn at random, carry them from layer
    to layer, so that all neurons are alike. Entries that would be 0 for ever, because no signal passes, are random.
    """
    layers = [network.layer(node) for node in network.graph.layers()]
    first, second = (best.layer(node) for node in best.graph.layers())
    with torch.no_grad():
        q_out, r_out = torch.linalg.qr(second.weight.double())
        q_in, r_in = torch.linalg.qr(first.weight.double().T)
        left, values, right = torch.linalg.svd(r_out @ r_in.T)
        encoder, decoder = (right.T * values.sqrt()).T @ q_in.T, q_out @ left * values.sqrt()
        codes = network.inputs.standardize(x).flatten(1).double() @ encoder.T  # (batch, rank)
        variance = float(codes.var(0, correction=0).sum()) / layers[0].out_features
        encoder, decoder = (encoder / variance**0.5, decoder * variance**0.5) if variance > 0 else (encoder, decoder)
        shift = -(codes.mean(0) / variance**0.5 if variance > 0 else codes.mean(0))
        bias = second.weight.double() @ first.bias.double() + second.bias.double() - decoder @ shift
        frame = _frame(layers[0].out_features, len(values), generator)
        layers[0].weight.copy_(frame @ encoder)
        layers[0].bias.copy_(frame @ shift)
        for layer in layers[1:]:
            last = layer is layers[-1]
            target = decoder if last else _frame(layer.out_features, len(values), generator)
            width = layer.in_features
            fresh = torch.randn(layer.out_features, width, generator=generator, dtype=torch.float64) / width**0.5
            layer.weight.copy_(target @ frame.T + fresh - fresh @ frame @ frame.T)
            layer.bias.zero_()
            frame = target
        layers[-1].bias.copy_(bias)
    return network


def start_from_linear(graph: Graph, best: Network, x: torch.Tensor, generator: torch.Generator) -> Network:
    """A plain SiLU network near the linear one: the start of :func:`linear_from_`, every gate a random sign.

    Half of its neurons bend up and half down, so that their mean is `best`. Where there is a closed form this is a
    much better start for training than random weights. `best` and `x` as in :func:`linear_from_`.
    """
    network = linear_from_(Gated(graph, best.inputs, best.outputs), best, x, generator)
    for gate in network.gates.values():
        gate.data = torch.randint(0, 2, gate.shape, generator=generator).to(gate) * 2 - 1
    return plain(network)


def _frame(width: int, rank: int, generator: torch.Generator) -> torch.Tensor:
    """A random matrix of orthonormal columns, (width, rank) in float64."""
    frame: torch.Tensor = torch.linalg.qr(torch.randn(width, rank, generator=generator, dtype=torch.float64))[0]
    return frame


def merge(network: Gated, opened: Sequence[str], graph: Graph, generator: torch.Generator) -> Gated:
    """The same function without the hidden layers whose gates are 0, on the widths of `graph`.

    W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂), in float64. `graph` has as many hidden layers as `opened` names, each
    at least as wide. With none opened it has none, or one linear one: then the first layer stays and all others are
    merged. Neurons beyond the old widths get rows of 0 and gates of 0, and random columns in the next layer, which
    let their gradients through.
    """
    kept = list(opened) or [node.name for node in hidden(network.graph)[: len(hidden(graph))]]
    wide = Gated(graph, network.inputs, network.outputs).to(next(network.parameters()))
    with torch.no_grad():
        for gate in wide.gates.values():
            gate.zero_()
        for node, (name, weight, bias) in zip(graph.layers(), _products(network, kept), strict=True):
            module = wide.layer(node)
            rows, columns = weight.shape
            spread = float(weight.std()) if weight.numel() > 1 else 0.0
            fresh = torch.randn(rows, module.in_features - columns, generator=generator) * spread
            module.weight.zero_()
            module.bias.zero_()
            module.weight[:rows, :columns] = weight.to(module.weight)
            module.weight[:rows, columns:] = fresh.to(module.weight)
            module.bias[:rows] = bias.to(module.bias)
            if node.name in wide.gates:
                wide.gates[node.name][:rows] = network.gates[name]
    return wide


def plain(network: Gated) -> Network:
    """The plain network of the same function. Raises ValueError where a gate is not ±1.

    z + g·z·tanh(z/2) is 2·SiLU(z) for g = 1 and −2·SiLU(−z) for g = −1: signs go into a neuron's row, 2g into the
    column that reads it, which is exact in floating point.
    """
    small = Network(network.graph, network.inputs, network.outputs).to(next(network.parameters()))
    factors: torch.Tensor | None = None  # of the columns
    with torch.no_grad():
        for node in network.graph.layers():
            old, new = network.layer(node), small.layer(node)
            weight = old.weight if factors is None else old.weight * factors
            if node.name in network.gates:
                gate = network.gates[node.name]
                if not bool((gate.abs() == 1).all()):
                    raise ValueError(f"the gates of {node.name} are not all 1 or -1")
                new.weight.copy_(weight * gate[:, None])
                new.bias.copy_(old.bias * gate)
                factors = 2 * gate
            else:
                new.weight.copy_(weight)
                new.bias.copy_(old.bias)
                factors = None
    return small


def _products(network: Gated, kept: Sequence[str]) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Weight and bias, in float64, of every kept layer and the head, closed layers merged into the one after them."""
    products: list[tuple[str, torch.Tensor, torch.Tensor]] = []
    merged: tuple[torch.Tensor, torch.Tensor] | None = None
    layers = list(network.graph.layers())
    for node in layers:
        module = network.layer(node)
        weight, bias = module.weight.detach().double(), module.bias.detach().double()
        if merged is not None:
            weight, bias = weight @ merged[0], weight @ merged[1] + bias
        merged = None if node.name in kept or node is layers[-1] else (weight, bias)
        if merged is None:
            products.append((node.name, weight, bias))
    return products
