"""From a superstructure with sleeping groups to the plain, physically smaller network that computes the same."""

from collections.abc import Mapping

import torch

from models.activation import activation
from models.groups import active_masks
from models.network import Network, Place
from spec.graph import Graph, Node, kept_counts, kept_indices, read_nodes


class LayerDied(ValueError):
    """A layer has no active group left, so nothing passes to the output; `layer` is its name."""

    def __init__(self, layer: str) -> None:
        super().__init__(f"layer {layer!r} has no active neuron left")
        self.layer = layer


def shrink(network: Network) -> Network:
    """The network without its sleeping groups; its outputs agree up to rounding.

    With grouped biases a sleeping neuron emits exactly 0 and is cut out. With free biases it emits the constant
    σ(b), which is folded into the biases of the next layer (in float64); sleeping *outputs* become constants in
    place. Operands of sums whose scalar is 0 are gone.

    A layer without an active group feeds nothing. What only led to it is gone too, such as a level of a U-Net, and a
    concatenation is left with its other sources; a layer that it alone fed lives on as constants if its biases are
    awake. Raises LayerDied where so nothing of the input comes to the last layer, or to a linear one that is read.
    """
    masks, graph = active_masks(network), network.graph
    living = {name: scalars.detach() != 0 for name, scalars in network.scalars.items()}
    small, kept = without(network, masks, living)
    constants = _constants(network, masks)
    with torch.no_grad():
        for name, scalars in small.scalars.items():
            scalars.copy_(network.scalars[name][living[name]])
        for node in small.graph.layers():
            old, new = network.rows(graph[node.name]), small.rows(node)
            rows = torch.tensor(kept[node.name], dtype=torch.int64)
            new["bias"].copy_(old["bias"][rows])
            if "weight" in new:
                (source,) = graph[node.name].sources
                new["weight"].copy_(old["weight"][rows][:, torch.tensor(kept[source], dtype=torch.int64)])
                if constants[source].any():
                    fold = old["weight"].double() @ constants[source]
                    new["bias"].copy_((old["bias"].double() + fold)[rows])
        for node in small.graph.nodes:
            if node.op == "place" and node.name in small.places:
                (source,) = graph[node.name].sources
                old_place = dict(network.places.items()).get(node.name)
                dtype = next(small.parameters()).dtype
                small.places[node.name] = place(old_place, masks[source], constants[source], dtype)
    return small


def without(
    network: Network, masks: Mapping[str, torch.Tensor], living: Mapping[str, torch.Tensor]
) -> tuple[Network, dict[str, list[int]]]:
    """A network of the shape that is left, its weights not yet those of `network`, and which entries each node keeps.

    `masks` say what is active of every searched layer, `living` which scalars of every sum are not 0. Raises LayerDied.
    """
    graph = network.graph
    dead = find_dead(graph, {name: int(mask.sum()) for name, mask in masks.items()})
    if dead is not None:
        raise LayerDied(dead)
    kept = kept_indices(graph, {name: mask.nonzero()[:, 0].tolist() for name, mask in masks.items()})
    small = Network(_Smaller(graph, kept, living).graph(), network.inputs, network.outputs)
    return small.to(next(network.parameters())), kept


def find_dead(graph: Graph, active: Mapping[str, int]) -> str | None:
    """The layer without an active group for which nothing of the input comes to the output; None where it does.

    Of several the first that alone stands in the way; where only more of them together do, the first of all.
    """
    last = _blocked(graph, active)
    if last is None:
        return None
    empty = [node.name for node in graph.searched() if not active[node.name]]
    alone = (name for name in empty if _blocked(graph, {**active, name: 1}) is None)
    return next(alone, next(iter(empty), last))


def _blocked(graph: Graph, active: Mapping[str, int]) -> str | None:
    """The first layer that has to get something of the input and does not; None where all do."""
    counts = kept_counts(graph, active)
    read = read_nodes(graph, counts)
    last = list(graph.layers())[-1].name
    passes: set[str] = set()  # nodes to which something of the input comes
    for node in graph.nodes:
        if counts[node.name] and (node.op == "input" or passes.intersection(node.sources)):
            passes.add(node.name)
        elif node.name == last or (node.op == "linear" and node.name in read):
            return node.name
    return None


class _Smaller:
    """Builds the graph of what is kept, node by node."""

    def __init__(self, graph: Graph, kept: dict[str, list[int]], living: Mapping[str, torch.Tensor]) -> None:
        self.old, self.kept, self.living = graph, kept, living
        self.nodes: list[Node] = []
        self.stands: dict[str, str] = {}  # what stands for a node in the smaller graph, by its old name

    def graph(self) -> Graph:
        """The smaller graph."""
        counts = {name: len(entries) for name, entries in self.kept.items()}
        read = read_nodes(self.old, counts)
        for node in self.old.nodes:
            if node.name in read:
                self._keep(node, counts)
        return Graph(
            nodes=tuple(self.nodes),
            input_shape=self.old.input_shape,
            output_shape=self.old.output_shape,
            bias=self.old.bias,
        )

    def _keep(self, node: Node, counts: dict[str, int]) -> None:
        sources = [source for source in node.plain if counts[source]]
        if node.scalars:
            lives = self.living[node.name].tolist()
            sources += [s for s, alive in zip(node.scaled, lives, strict=True) if alive and counts[s]]
        if node.op in ("sum", "concat") and len(sources) == 1:
            self.stands[node.name] = self.stands[sources[0]]
            return
        changed: dict[str, object] = {
            "sources": tuple(self.stands[source] for source in sources),
            "scalars": len(sources) - len(node.plain) if node.scalars else 0,
            "width": node.width if node.op == "place" else counts[node.name],
        }
        if node.rule.weighted and node.sources and not sources:  # nothing feeds it any more
            changed |= {"op": "constant", "kernel": 1, "like": self._of_size(node.like or node.sources[0])}
        elif node.like:
            changed["like"] = self._of_size(node.like)
        self._add(node.model_copy(update=changed))

    def _of_size(self, name: str) -> str:
        """A node of the smaller graph with the height and width of this one of the old; a pooling is made for it."""
        if name in self.stands:
            return self.stands[name]
        node = self.old[name]
        if node.rule.size != "half":
            return self._of_size(node.like or node.sources[0])
        source = self._of_size(node.sources[0])
        width = next(n.width for n in self.nodes if n.name == source)
        self._add(node.model_copy(update={"sources": (source,), "width": width}))
        return name

    def _add(self, node: Node) -> None:
        self.nodes.append(node)
        self.stands[node.name] = node.name


def _constants(network: Network, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What the sleeping entries of every node emit, float64 of shape (width,); 0 at entries that live."""
    constants: dict[str, torch.Tensor] = {}
    grouped = network.graph.bias == "grouped"
    for node in network.graph.nodes:
        match node.rule.entries:
            case "joined":
                joined = torch.cat([constants[source] for source in node.sources])
                constants[node.name] = joined.repeat_interleave(node.repeat)
            case "own" if node.searched:
                bias = network.rows(node)["bias"].detach().double()
                emitted = activation(node.activation, grouped_bias=grouped)(bias)
                constants[node.name] = torch.where(masks[node.name], torch.zeros_like(emitted), emitted)
            case "same":
                constants[node.name] = torch.stack([constants[source] for source in node.plain]).sum(dim=0)
                for k, source in enumerate(node.scaled):
                    constants[node.name] += network.scalars[node.name][k].detach().double() * constants[source]
            case _:
                constants[node.name] = torch.zeros(node.width, dtype=torch.float64)
    return constants


def place(old: torch.nn.Module | None, mask: torch.Tensor, constant: torch.Tensor, dtype: torch.dtype) -> Place:
    """Where every output is found after the sleeping ones have become constants; `old` is an earlier placement."""
    live, sleeping = mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
    order, constants = torch.arange(len(mask)), torch.zeros(0, dtype=dtype)
    if isinstance(old, Place):
        order, constants = old.order, old.constant
    moved = torch.empty(len(mask) + len(constants), dtype=torch.int64)
    moved[torch.cat([live, sleeping])] = torch.arange(len(mask))
    moved[len(mask) :] = torch.arange(len(mask), len(moved))
    return Place(moved[order], torch.cat([constant[sleeping].to(dtype), constants]))
