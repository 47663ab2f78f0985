"""Which parameters form a group, which groups are active, and how a search starts with a few of them."""

import math
from typing import Any

import torch

from linbreg import GroupL1, sparse_rows_
from models.network import Network
from models.ops import OPS
from spec.graph import Node, kept_counts, used


def parameter_groups(network: Network, lam: float, scalars: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser of `linbreg`: one regularised group an index set, the rest with J ≡ 0.

    The layers of an index set share their groups: neuron i is row i of all of them. `scalars` are settings of a group
    for the scalars of sums, such as its regulariser; without it those are among the rest.
    """
    graph = network.graph
    grouped = graph.bias == "grouped"
    groups: list[dict[str, Any]] = []
    for names in graph.index_sets():
        layers = [network.rows(graph[name]) for name in names]
        rows = [p for layer in layers for key, p in layer.items() if grouped or key == "weight"]
        groups.append({"params": rows, "regularizer": GroupL1(lam=lam, joint=len(rows) > 1)})
    free: list[torch.Tensor] = []
    for node in graph.layers():
        free += [p for key, p in network.rows(node).items() if not node.searched or (not grouped and key == "bias")]
    if scalars is not None and len(network.scalars):
        groups.append({"params": list(network.scalars.values()), **scalars})
    else:
        free += network.scalars.values()
    return [*groups, {"params": free}] if free else groups


def active_masks(network: Network) -> dict[str, torch.Tensor]:
    """For every searched layer, which of its groups are active: bool of shape (width,), the same in an index set."""
    masks: dict[str, torch.Tensor] = {}
    for names in network.graph.index_sets():
        mask = torch.stack([_active(network, network.graph[name]) for name in names]).any(dim=0)
        masks |= dict.fromkeys(names, mask)
    return {node.name: masks[node.name] for node in network.graph.searched()}


def active_counts(network: Network) -> dict[str, int]:
    """Number of active groups of every searched layer."""
    return {name: int(mask.sum()) for name, mask in active_masks(network).items()}


def scalar_counts(network: Network) -> dict[str, int]:
    """Number of scalars that are not 0, of every sum that has any."""
    return {name: int(scalars.count_nonzero()) for name, scalars in network.scalars.items()}


def in_use(network: Network) -> dict[str, int]:
    """All that a size depends on: active groups by searched layer, and scalars that are not 0 by sum.

    A layer that nothing reads any more has 0, as a level of a U-Net whose way back has no active channel.
    """
    return used(network.graph, active_counts(network) | scalar_counts(network))


def connections(network: Network) -> list[tuple[str, str, float]]:
    """The scaled operands of sums that are not gone: the layer that each comes from, the one it joins, its scalar."""
    origins = network.graph.origins()
    return [
        (origins[source], origins[node.name], value)
        for node in network.graph.sums()
        if node.scalars
        for source, value in zip(node.scaled, network.scalars[node.name].tolist(), strict=True)
        if value != 0
    ]


def cut_(network: Network, threshold: float) -> None:
    """Set the groups of the searched layers to 0 whose root mean square is at most `threshold`."""
    for group in parameter_groups(network, 0.0):
        regularizer = group.get("regularizer")
        if regularizer is not None:
            (scores,) = regularizer.scores(group["params"])
            with torch.no_grad():
                for param in group["params"]:
                    param[scores <= threshold] = 0.0


def sparse_start_(
    network: Network, *, density: float, scale: float, generator: torch.Generator, live_fan_in: bool = False
) -> None:
    """Begin a search: a share `density` of every index set's groups awake, the rest at exactly 0, and all scalars too.

    At least one group of every set is awake. `scale` is a factor on He's deviation √(2 / fan_in), where fan_in counts
    all inputs, or with `live_fan_in` those that are awake. An unsearched head is dense with deviation √(1 / fan_in).
    """
    graph = network.graph
    first = {name: names[0] for names in graph.index_sets() for name in names}
    live: dict[str, torch.Tensor] = {}
    for node in graph.layers():
        rows = network.rows(node)
        weight, bias = rows["weight"], rows["bias"]
        awake = kept_counts(graph, {name: int(live[own].sum()) for name, own in first.items() if own in live})
        inputs = sum(graph[source].width for source in node.sources) / sum(awake[source] for source in node.sources)
        gain = math.sqrt(inputs) if live_fan_in else 1.0
        if node.searched:
            tied = first[node.name] in live
            drawn = sparse_rows_(
                weight,
                bias,
                density=1.0 if tied else density,
                scale=gain * scale * OPS[node.op].gain,
                generator=generator,
                bias_form=graph.bias,
            )
            if tied:
                _sleep(weight, bias, ~live[first[node.name]], with_bias=graph.bias == "grouped")
            else:
                live[node.name] = drawn
        else:
            with torch.no_grad():
                draw = torch.randn(weight.shape, generator=generator)
                weight.copy_(draw * gain / math.sqrt(weight[0].numel()))
                bias.zero_()
    with torch.no_grad():
        for scalars in network.scalars.values():
            scalars.zero_()


@torch.no_grad()
def _sleep(weight: torch.Tensor, bias: torch.Tensor, rows: torch.Tensor, *, with_bias: bool) -> None:
    weight[rows] = 0.0
    if with_bias:
        bias[rows] = 0.0


def _active(network: Network, node: Node) -> torch.Tensor:
    grouped = network.graph.bias == "grouped"
    rows = [p for key, p in network.rows(node).items() if grouped or key == "weight"]
    return torch.stack([(p.detach() != 0).flatten(1).any(dim=1) if p.dim() > 1 else p.detach() != 0 for p in rows]).any(
        0
    )
