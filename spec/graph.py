"""The graph of groups: which neurons or channels a network has, and which inputs they feed.

A superstructure declares this graph once, as plain data. Building, shrinking, counting parameters and MACs,
export and pictures all walk it; none of them knows a layer by its name.

Every node has `width` entries along its group axis (features or channels). The entries of a node without weights
are images of the entries of its sources:

| op        | entries                                                                  |
| --------- | ------------------------------------------------------------------------ |
| `input`   | the channels (or features) of a sample, never removed                    |
| `flatten` | every entry of its source becomes `repeat` neighbouring ones (its pixels) |
| `concat`  | the sources' entries one after the other: offsets are the sums of widths  |
| `linear`  | its neurons; a *searched* one may sleep                                   |
| `sum`     | entry i is the sum of its sources' entries i                              |
| `place`   | a full-sized output, into which the surviving entries of its source go    |

A `sum` ties its operands to one *index set*: entry i is entry i of all of them, so the layers behind them sleep by the
same rows (:meth:`Graph.index_sets`). Its last `scalars` sources are multiplied by a trainable scalar each.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from spec.base import Strict

Op = Literal["input", "flatten", "concat", "linear", "sum", "place"]
Activation = Literal["none", "silu", "gelu", "relu", "sigmoid"]


class Node(Strict):
    """One node of the graph; see the module's table for what its entries are."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    op: Op
    width: int = Field(ge=1)
    sources: tuple[str, ...] = ()
    activation: Activation = "none"
    searched: bool = False
    """Whether the groups of this layer may sleep, and be removed."""
    repeat: int = Field(default=1, ge=1)
    """`flatten` only: how many entries one entry of the source becomes."""
    scalars: int = Field(default=0, ge=0)
    """`sum` only: how many of the last sources are multiplied by a scalar; at least the first enters as it is."""

    @property
    def plain(self) -> tuple[str, ...]:
        """The sources that enter as they are."""
        return self.sources[: len(self.sources) - self.scalars]

    @property
    def scaled(self) -> tuple[str, ...]:
        """The sources that a scalar multiplies, in its order."""
        return self.sources[len(self.sources) - self.scalars :]


class Graph(Strict):
    """A network as nodes in topological order; the last node is the output.

    `input_shape` and `output_shape` are shapes of one sample, without the batch.
    `bias` says whether a neuron's bias belongs to its group ("grouped": a sleeping neuron emits exactly 0) or stands
    outside ("free": a sleeping neuron emits the constant σ(b)).
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
            for source in node.sources:
                if source not in seen:
                    raise ValueError(f"node {node.name!r} reads {source!r}, which does not stand before it")
            expected = {
                "flatten": node.repeat * sum(seen[s] for s in node.sources),
                "concat": sum(seen[s] for s in node.sources),
            }.get(node.op, node.width)
            if node.width != expected:
                raise ValueError(f"node {node.name!r} has width {node.width}, its sources give {expected}")
            seen[node.name] = node.width
        if not self.nodes or self.nodes[0].op != "input":
            raise ValueError("a graph begins with its input")
        return self

    @model_validator(mode="after")
    def _sums(self) -> Self:
        """The operands of a sum have the same entries, and all of them may sleep or none."""
        may_sleep: dict[str, bool] = {}
        widths = {node.name: node.width for node in self.nodes}
        for node in self.nodes:
            if node.op == "linear":
                may_sleep[node.name] = node.searched
            if node.op != "sum":
                continue
            if not node.plain:
                raise ValueError(f"node {node.name!r} is a sum without a source that enters as it is")
            for source in node.sources:
                if source not in may_sleep:
                    raise ValueError(f"node {node.name!r} adds {source!r}, which is neither a layer nor a sum")
                if widths[source] != node.width:
                    raise ValueError(f"node {node.name!r} has width {node.width}, {source!r} has {widths[source]}")
            if len({may_sleep[source] for source in node.sources}) > 1:
                raise ValueError(f"node {node.name!r} adds entries that may sleep to others that may not")
            may_sleep[node.name] = may_sleep[node.sources[0]]
        return self

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def layers(self) -> Iterator[Node]:
        """The nodes that have weights, in order."""
        return (node for node in self.nodes if node.op == "linear")

    def searched(self) -> Iterator[Node]:
        """The layers whose groups may sleep, in order."""
        return (node for node in self.layers() if node.searched)

    def sums(self) -> Iterator[Node]:
        """The nodes that add, in order."""
        return (node for node in self.nodes if node.op == "sum")

    def origins(self) -> dict[str, str]:
        """For every sum the layer that its first operand comes from; for every other node itself."""
        origins: dict[str, str] = {}
        for node in self.nodes:
            origins[node.name] = origins[node.sources[0]] if node.op == "sum" else node.name
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
        match node.op:
            case "flatten" | "concat":
                counts[node.name] = node.repeat * sum(counts[s] for s in node.sources)
            case "linear" if node.searched and active is not None:
                counts[node.name] = active.get(node.name, node.width)
            case "sum":
                counts[node.name] = counts[node.sources[0]]
            case _:
                counts[node.name] = node.width
    return counts


def kept_indices(graph: Graph, active: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Which entries of every node survive, given the sorted active groups of the searched layers."""
    kept: dict[str, list[int]] = {}
    for node in graph.nodes:
        match node.op:
            case "flatten":
                (source,) = node.sources
                kept[node.name] = [i * node.repeat + k for i in kept[source] for k in range(node.repeat)]
            case "concat":
                offset, entries = 0, []
                for source in node.sources:
                    entries += [offset + i for i in kept[source]]
                    offset += graph[source].width
                kept[node.name] = entries
            case "linear" if node.searched and node.name in active:
                kept[node.name] = list(active[node.name])
            case "sum":
                kept[node.name] = kept[node.sources[0]]
            case _:
                kept[node.name] = list(range(node.width))
    return kept


def parameters(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Number of trainable parameters (weights, biases, scalars) when `active` groups are left; all, without it.

    `active` may name sums too: how many of their scalars are not 0.
    """
    counts = kept_counts(graph, active)
    weights = sum(counts[n.name] * (counts[n.sources[0]] + 1) for n in graph.layers())
    return weights + sum(_scalars(n, active) for n in graph.sums())


def macs(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Multiply-accumulate operations of one sample's forward pass when `active` groups (and scalars) are left."""
    counts = kept_counts(graph, active)
    products = sum(counts[n.name] * counts[n.sources[0]] for n in graph.layers())
    return products + sum(counts[n.name] * _scalars(n, active) for n in graph.sums())


def neurons(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Number of groups of the searched layers when `active` groups are left; all, without it."""
    counts = kept_counts(graph, active)
    return sum(counts[n.name] for n in graph.searched())


def _scalars(node: Node, active: Mapping[str, int] | None) -> int:
    return node.scalars if active is None else active.get(node.name, node.scalars)
