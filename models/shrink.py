"""From a superstructure with sleeping groups to the plain, physically smaller network that computes the same."""

import torch

from models.activation import activation
from models.groups import active_masks
from models.network import Network, Place
from spec.graph import Graph, Node, kept_indices


class LayerDied(ValueError):
    """A layer has no active group left, so nothing passes through it; `layer` is its name."""

    def __init__(self, layer: str) -> None:
        super().__init__(f"layer {layer!r} has no active neuron left")
        self.layer = layer


def shrink(network: Network) -> Network:
    """The network without its sleeping groups; its outputs agree up to rounding.

    With grouped biases a sleeping neuron emits exactly 0 and is cut out. With free biases it emits the constant
    σ(b), which is folded into the biases of the next layer (in float64); sleeping *outputs* become constants in
    place. Operands of sums whose scalar is 0 are gone. Raises LayerDied where a layer has no active group.
    """
    masks = active_masks(network)
    for name, mask in masks.items():
        if not mask.any():
            raise LayerDied(name)
    graph = network.graph
    kept = kept_indices(graph, {name: mask.nonzero()[:, 0].tolist() for name, mask in masks.items()})
    living = {name: scalars.detach() != 0 for name, scalars in network.scalars.items()}
    small = Network(_smaller(graph, kept, living), network.inputs, network.outputs)
    small.to(next(network.parameters()))
    constants = _constants(network, masks)
    with torch.no_grad():
        for name, scalars in small.scalars.items():
            scalars.copy_(network.scalars[name][living[name]])
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


def _smaller(graph: Graph, kept: dict[str, list[int]], living: dict[str, torch.Tensor]) -> Graph:
    """The graph of what is kept. Operands whose scalar is 0 are gone, and sums of a single operand too."""
    nodes: list[Node] = []
    reads: dict[str, str] = {}  # what stands in place of a sum that is gone
    for node in graph.nodes:
        sources = [*node.plain]
        if node.scalars:
            sources += [source for source, lives in zip(node.scaled, living[node.name].tolist(), strict=True) if lives]
        sources = [reads.get(source, source) for source in sources]
        if node.op == "sum" and len(sources) == 1:
            reads[node.name] = sources[0]
            continue
        width = node.width if node.op == "place" else len(kept[node.name])
        scalars = len(sources) - len(node.plain)
        nodes.append(node.model_copy(update={"sources": tuple(sources), "scalars": scalars, "width": width}))
    return Graph(nodes=tuple(nodes), input_shape=graph.input_shape, output_shape=graph.output_shape, bias=graph.bias)


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
            case "sum":
                constants[node.name] = torch.stack([constants[source] for source in node.plain]).sum(dim=0)
                for scalar, source in zip(network.scalars[node.name].detach().double(), node.scaled, strict=True):
                    constants[node.name] += scalar * constants[source]
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
