"""The graph of groups: which neurons or channels a network has, and which inputs they feed.

A superstructure declares this graph once, as plain data. Building, shrinking, counting parameters and MACs,
export and pictures all walk it; none of them knows a layer by its name. Its operations are those of `spec/node.py`.

A `sum` ties its operands to one *index set*: entry i is entry i of all of them, so the layers behind them sleep by the
same rows (:meth:`Graph.index_sets`). Its last `scalars` sources are multiplied by a trainable scalar each.

Sizes are rounded up where they are halved and cropped where they are doubled. So a graph without `flatten` takes images
of any size, and costs are stated at the size of `input_shape`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Self

from pydantic import model_validator

from spec.base import Strict
from spec.node import RULES as RULES
from spec.node import Activation as Activation
from spec.node import Node as Node

Size = tuple[int, ...]
"""Height and width of an image; empty where a node has no pixels."""


class Graph(Strict):
    """A network as nodes in topological order; the last node is the output.

    `input_shape` and `output_shape` are shapes of one sample, without the batch.
    `bias` says whether a neuron's bias belongs to its group ("grouped": a sleeping neuron emits exactly 0) or stands
    outside ("free": a sleeping neuron emits the constant σ(b), which no zero-padded convolution can fold).
    """

    nodes: tuple[Node, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    bias: Literal["grouped", "free"] = "grouped"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: dict[str, int] = {}
        for node in self.nodes:
            if node.name in seen:
                raise ValueError(f"node {node.name!r} stands twice")
            for source in (*node.sources, *filter(None, [node.like])):
                if source not in seen:
                    raise ValueError(f"node {node.name!r} reads {source!r}, which does not stand before it")
            expected = {
                "joined": node.repeat * sum(seen[s] for s in node.sources),
                "same": seen[node.sources[0]] if node.op in ("pool", "up") else node.width,
                "own": node.width,
            }[node.rule.entries]
            if node.width != expected:
                raise ValueError(f"node {node.name!r} has width {node.width}, its sources give {expected}")
            seen[node.name] = node.width
        if not self.nodes or self.nodes[0].op != "input":
            raise ValueError("a graph begins with its input")
        if self.bias == "free" and any(node.op in ("conv", "upconv") for node in self.nodes):
            raise ValueError(
                "with free biases a sleeping filter emits a constant, which ends at the zeros around an image and so "
                "cannot be folded exactly: convolutions need bias grouped"
            )
        return self

    @model_validator(mode="after")
    def _sums(self) -> Self:
        """The operands of a sum have the same entries, and all of them may sleep or none."""
        may_sleep: dict[str, bool] = {}
        widths = {node.name: node.width for node in self.nodes}
        for node in self.nodes:
            if node.rule.entries == "own":
                may_sleep[node.name] = node.searched
            if node.op == "sum":
                if not node.plain:
                    raise ValueError(f"node {node.name!r} is a sum without a source that enters as it is")
                for source in node.sources:
                    if source not in may_sleep:
                        raise ValueError(f"node {node.name!r} adds {source!r}, whose entries are joined from others")
                    if widths[source] != node.width:
                        raise ValueError(f"node {node.name!r} has width {node.width}, {source!r} has {widths[source]}")
                if len({may_sleep[source] for source in node.sources}) > 1:
                    raise ValueError(f"node {node.name!r} adds entries that may sleep to others that may not")
            if node.rule.entries == "same" and node.sources[0] in may_sleep:
                may_sleep[node.name] = may_sleep[node.sources[0]]
        return self

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        sizes = self.sizes()
        for node in self.nodes:
            given = [sizes[source] for source in node.sources]
            if len(set(given)) > 1:
                raise ValueError(f"node {node.name!r} reads images of different sizes: {given}")
            if node.op == "flatten" and given[0] and node.repeat != math.prod(given[0]):
                raise ValueError(
                    f"node {node.name!r} flattens {math.prod(given[0])} pixels, its repeat is {node.repeat}"
                )
            if node.op == "linear" and given[0]:
                raise ValueError(f"node {node.name!r} is linear and reads an image: flatten it first")
            if node.op in ("conv", "pool", "up", "upconv") and len(given[0]) != 2:
                raise ValueError(f"node {node.name!r} is a {node.op} and reads {node.sources[0]!r}, which is no image")
            if node.op in ("up", "upconv") and _half(sizes[node.like]) != given[0]:
                raise ValueError(f"node {node.name!r} doubles {given[0]}; {node.like!r} has {sizes[node.like]}")
        return self

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def layers(self) -> Iterator[Node]:
        """The nodes that have weights, in order."""
        return (node for node in self.nodes if node.rule.weighted)

    def searched(self) -> Iterator[Node]:
        """The layers whose groups may sleep, in order."""
        return (node for node in self.layers() if node.searched)

    def sums(self) -> Iterator[Node]:
        """The nodes that add, in order."""
        return (node for node in self.nodes if node.op == "sum")

    def sizes(self) -> dict[str, Size]:
        """Height and width of every node for a sample of `input_shape`; empty where it has no pixels."""
        sizes: dict[str, Size] = {}
        for node in self.nodes:
            match node.rule.size:
                case "given":
                    sizes[node.name] = self.input_shape[1:]
                case "none":
                    sizes[node.name] = ()
                case "source":
                    sizes[node.name] = sizes[node.sources[0]]
                case "half":
                    sizes[node.name] = _half(sizes[node.sources[0]])
                case "like":
                    sizes[node.name] = sizes[node.like]
        return sizes

    @property
    def takes_any_size(self) -> bool:
        """Whether images of any height and width are taken, and images of that size given."""
        return len(self.input_shape) == 3 and self.sizes()[self.nodes[-1].name] == self.input_shape[1:]

    def at(self, height: int, width: int) -> "Graph":
        """The same graph, its costs stated for images of this size. Raises ValueError where it takes but one size."""
        if not self.takes_any_size:
            raise ValueError(f"this graph takes samples of shape {self.input_shape} alone")
        shapes = {"input_shape": (self.input_shape[0], height, width)}
        return self.model_copy(update={**shapes, "output_shape": (self.output_shape[0], height, width)})

    def reach(self) -> int:
        """How far from a pixel of the output its inputs lie, in pixels, of a graph that takes images of any size.

        On a tile of an image whose first pixel stands at a multiple of :meth:`stride`, the output is that on the whole
        image wherever the tile's borders inside the image are at least so far away.
        """
        reach, stride = dict.fromkeys([self.nodes[0].name], 0), self.strides()
        for node in self.nodes[1:]:
            step = stride[node.name]
            farther = {"conv": node.kernel // 2 * step, "upconv": step}.get(node.op, 0)
            if node.op == "up":
                farther = 2 * step if node.mode == "bilinear" else step
            reach[node.name] = farther + max((reach[source] for source in node.sources), default=0)
        return reach[self.nodes[-1].name]

    def stride(self) -> int:
        """Pixels of the input from one pixel to the next at the coarsest size."""
        return max(self.strides().values())

    def strides(self) -> dict[str, int]:
        """Pixels of the input from one pixel of a node to its next; of a node without pixels those of its source."""
        strides: dict[str, int] = {}
        for node in self.nodes:
            if node.rule.size == "half":
                strides[node.name] = 2 * strides[node.sources[0]]
            else:
                strides[node.name] = strides[node.like or node.sources[0]] if node.like or node.sources else 1
        return strides

    def read_layers(self, node: Node) -> Iterator[Node]:
        """The layers (or the input) whose entries come to this node, past all that has no weights."""
        for name in node.plain:
            source = self[name]
            if source.rule.weighted or source.op == "input":
                yield source
            else:
                yield from self.read_layers(source)

    @property
    def adds_input(self) -> bool:
        """Whether the output is the input and a correction, so that it stands in the input's units."""
        last = self.nodes[-1]
        return last.op == "sum" and self.nodes[0].name in last.sources

    def origins(self) -> dict[str, str]:
        """For every node whose entries are those of its sources the layer that the first comes from; else itself."""
        origins: dict[str, str] = {}
        for node in self.nodes:
            origins[node.name] = origins[node.sources[0]] if node.rule.entries == "same" else node.name
        return origins

    def index_sets(self) -> list[tuple[str, ...]]:
        """The searched layers by index set, in order of the first of each: those of a set sleep by the same rows."""
        origins, owner = self.origins(), {node.name: node.name for node in self.searched()}
        for node in self.sums():
            operands = [owner[origins[source]] for source in node.sources if origins[source] in owner]
            if len(set(operands)) > 1:
                owner = {name: operands[0] if own in operands else own for name, own in owner.items()}
        sets: dict[str, list[str]] = {}
        for name, own in owner.items():
            sets.setdefault(own, []).append(name)
        return [tuple(names) for names in sets.values()]


def kept_counts(graph: Graph, active: Mapping[str, int] | None = None) -> dict[str, int]:
    """How many entries of every node survive when `active[layer]` groups of each searched layer do.

    A searched layer that `active` does not name keeps all its groups. Layers of one index set have equal counts.
    """
    counts: dict[str, int] = {}
    for node in graph.nodes:
        match node.rule.entries:
            case "joined":
                counts[node.name] = node.repeat * sum(counts[s] for s in node.sources)
            case "same":
                counts[node.name] = counts[node.sources[0]]
            case "own" if node.searched and active is not None:
                counts[node.name] = active.get(node.name, node.width)
            case "own":
                counts[node.name] = node.width
    return counts


def kept_indices(graph: Graph, active: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Which entries of every node survive, given the sorted active groups of the searched layers."""
    kept: dict[str, list[int]] = {}
    for node in graph.nodes:
        match node.rule.entries:
            case "joined":
                offset, entries = 0, []
                for source in node.sources:
                    entries += [(offset + i) * node.repeat + k for i in kept[source] for k in range(node.repeat)]
                    offset += graph[source].width
                kept[node.name] = entries
            case "same":
                kept[node.name] = kept[node.sources[0]]
            case "own" if node.searched and node.name in active:
                kept[node.name] = list(active[node.name])
            case "own":
                kept[node.name] = list(range(node.width))
    return kept


def resized(graph: Graph, widths: Mapping[str, int]) -> Graph:
    """The same graph with other widths of the searched layers named; what follows from them follows."""
    counts = kept_counts(graph, widths)
    nodes = tuple(node.model_copy(update={"width": counts[node.name]}) for node in graph.nodes)
    return Graph(**{**dict(graph), "nodes": nodes})


def read_nodes(graph: Graph, counts: Mapping[str, int]) -> set[str]:
    """The nodes that the output depends on when `counts` entries of every node are left (see :func:`kept_counts`).

    A node of no entries feeds nothing. So all that only leads to it is unread too: a level of a U-Net, say.
    """
    read = {graph.nodes[-1].name}
    for node in reversed(graph.nodes):
        if node.name in read:
            read |= {source for source in node.sources if counts[source] > 0}
    return read


def used(graph: Graph, active: Mapping[str, int]) -> dict[str, int]:
    """`active` with 0 for the layers (and sums) that nothing reads any more: what is left when they are cut off."""
    read = read_nodes(graph, kept_counts(graph, active))
    return {name: count if name in read else 0 for name, count in active.items()}


def parameters(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Number of trainable parameters (weights, biases, scalars) when `active` groups are left; all, without it.

    `active` may name sums too: how many of their scalars are not 0. Layers that nothing reads count (see :func:`used`).
    """
    counts = kept_counts(graph, active)
    weights = sum(counts[n.name] * (_fan_in(n, counts) + 1) for n in graph.layers())
    return weights + sum(_scalars(n, active) for n in graph.sums())


def macs(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Multiply-accumulate operations of the forward pass of one sample of `graph.input_shape`, as `parameters`."""
    counts, sizes = kept_counts(graph, active), graph.sizes()
    products = sum(counts[n.name] * _fan_in(n, counts) * _positions(n, sizes) for n in graph.layers())
    scaled = sum(counts[n.name] * _scalars(n, active) * math.prod(sizes[n.name]) for n in graph.sums())
    return products + scaled


def neurons(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Number of groups of the searched layers when `active` groups are left; all, without it."""
    counts = kept_counts(graph, active)
    return sum(counts[n.name] for n in graph.searched())


def _fan_in(node: Node, counts: Mapping[str, int]) -> int:
    """Weights of one group; a layer that nothing feeds has none."""
    return node.kernel**2 * sum(counts[source] for source in node.sources)


def _positions(node: Node, sizes: Mapping[str, Size]) -> int:
    """How often a layer's weights are applied to a sample; those of an `upconv` once for every pixel that it reads."""
    return math.prod(sizes[node.sources[0] if node.op == "upconv" else node.name])


def _scalars(node: Node, active: Mapping[str, int] | None) -> int:
    return node.scalars if active is None else active.get(node.name, node.scalars)


def _half(size: Size) -> Size:
    return tuple((pixels + 1) // 2 for pixels in size)
