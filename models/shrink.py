"""From a superstructure with sleeping groups to the plain, physically smaller network that computes the same."""

import torch

from models.activation import activation
from models.groups import active_masks
from models.network import Network, Place
from spec.graph import Graph, kept_indices


class LayerDied(ValueError):
    """A layer has no active group left, so nothing passes through it; `layer` is its name."""

    def __init__(self, layer: str) -> None:
        super().__init__(f"layer {layer!r} has no active neuron left")
        self.layer = layer


def shrink(network: Network) -> Network:
    """The network without its sleeping groups; its outputs agree up to rounding.

    With grouped biases a sleeping neuron emits exactly 0 and is cut out. With free biases it emits the constant
    σ(b), which is folded into the biases of the next layer (in float64); sleeping *outputs* become constants in
    place. Raises LayerDied where a layer has no active group.
    """
    masks = active_masks(network)
    for name, mask in masks.items():
        if not mask.any():
            raise LayerDied(name)
    graph = network.graph
    kept = kept_indices(graph, {name: mask.nonzero()[:, 0].tolist() for name, mask in masks.items()})
    small = Network(_smaller(graph, kept), network.inputs, network.outputs)
    small.to(next(network.parameters()))
    constants = _constants(network, masks)
    with torch.no_grad():
        for node in graph.layers():
            old, new = network.layer(node), small.layer(node)
            (source,) = node.sources
            rows, columns = torch.tensor(kept[node.name]), torch.tensor(kept[source])
            fold = old.weight.double() @ constants[source]
            new.weight.copy_(old.weight[rows][:, columns])
            new.bias.copy_((old.bias.double() + fold)[rows])
        for node in graph.nodes:
            if node.op == "place" and node.name in small.places:
                (source,) = node.sources
                old_place = dict(network.places.items()).get(node.name)
                dtype = next(small.parameters()).dtype
                small.places[node.name] = _place(old_place, masks[source], constants[source], dtype)
    return small


def with_widths(graph: Graph, widths: dict[str, int]) -> Graph:
    """The same graph with the searched layers' widths replaced, and what follows from them."""
    return _smaller(graph, kept_indices(graph, {name: range(width) for name, width in widths.items()}))


def _smaller(graph: Graph, kept: dict[str, list[int]]) -> Graph:
    nodes = tuple(
        node.model_copy(update={"width": node.width if node.op == "place" else len(kept[node.name])})
        for node in graph.nodes
    )
    return Graph(nodes=nodes, input_shape=graph.input_shape, output_shape=graph.output_shape, bias=graph.bias)


def _constants(network: Network, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What the sleeping entries of every node emit, float64 of shape (width,); 0 at entries that live."""
    constants: dict[str, torch.Tensor] = {}
    grouped = network.graph.bias == "grouped"
    for node in network.graph.nodes:
        match node.op:
            case "flatten":
                constants[node.name] = constants[node.sources[0]].repeat_interleave(node.repeat)
            case "concat":
                constants[node.name] = torch.cat([constants[s] for s in node.sources])
            case "linear" if node.searched:
                emitted = activation(node.activation, grouped_bias=grouped)(network.layer(node).bias.detach().double())
                constants[node.name] = torch.where(masks[node.name], torch.zeros_like(emitted), emitted)
            case _:
                constants[node.name] = torch.zeros(node.width, dtype=torch.float64)
    return constants


def _place(old: torch.nn.Module | None, mask: torch.Tensor, constant: torch.Tensor, dtype: torch.dtype) -> Place:
    """Where every output is found after the sleeping ones have become constants; `old` is an earlier placement."""
    live, sleeping = mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
    order, constants = torch.arange(len(mask)), torch.zeros(0, dtype=dtype)
    if isinstance(old, Place):
        order, constants = old.order, old.constant
    moved = torch.empty(len(mask) + len(constants), dtype=torch.int64)
    moved[torch.cat([live, sleeping])] = torch.arange(len(mask))
    moved[len(mask) :] = torch.arange(len(mask), len(moved))
    return Place(moved[order], torch.cat([constant[sleeping].to(dtype), constants]))
