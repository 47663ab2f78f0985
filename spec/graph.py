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
| `place`   | a full-sized output, into which the surviving entries of its source go    |
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from spec.base import Strict

Op = Literal["input", "flatten", "concat", "linear", "place"]
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

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def layers(self) -> Iterator[Node]:
        """The nodes that have weights, in order."""
        return (node for node in self.nodes if node.op == "linear")

    def searched(self) -> Iterator[Node]:
        """The layers whose groups may sleep, in order."""
        return (node for node in self.layers() if node.searched)


def kept_counts(graph: Graph, active: Mapping[str, int] | None = None) -> dict[str, int]:
    """How many entries of every node survive when `active[layer]` groups of each searched layer do.

    A searched layer that `active` does not name keeps all its groups.
    """
    counts: dict[str, int] = {}
    for node in graph.nodes:
        match node.op:
            case "flatten" | "concat":
                counts[node.name] = node.repeat * sum(counts[s] for s in node.sources)
            case "linear" if node.searched and active is not None:
                counts[node.name] = active.get(node.name, node.width)
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
            case _:
                kept[node.name] = list(range(node.width))
    return kept


def parameters(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Number of trainable parameters (weights and biases) when `active` groups are left; all, without it."""
    counts = kept_counts(graph, active)
    return sum(counts[n.name] * (counts[n.sources[0]] + 1) for n in graph.layers())


def macs(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Multiply-accumulate operations of one sample's forward pass when `active` groups are left."""
    counts = kept_counts(graph, active)
    return sum(counts[n.name] * counts[n.sources[0]] for n in graph.layers())


def neurons(graph: Graph, active: Mapping[str, int] | None = None) -> int:
    """Number of groups of the searched layers when `active` groups are left; all, without it."""
    counts = kept_counts(graph, active)
    return sum(counts[n.name] for n in graph.searched())
