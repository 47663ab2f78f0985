"""Which parameters form a group, which groups are active, and how a search starts with a few of them."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from linbreg import GroupL1, sparse_rows_
from models.network import Network
from spec.graph import Node


def parameter_groups(network: Network, lam: float, scalars: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser of `linbreg`: one regularised group an index set, the rest with J ≡ 0.

    The layers of an index set share their groups: neuron i is row i of all of them. `scalars` are settings of a group
    for the scalars of sums, such as its regulariser; without it those are among the rest.
    """
    graph = network.graph
    grouped = graph.bias == "grouped"
    groups: list[dict[str, Any]] = []
    for names in graph.index_sets():
        linears = [network.layer(graph[name]) for name in names]
        rows = [p for linear in linears for p in ((linear.weight, linear.bias) if grouped else (linear.weight,))]
        groups.append({"params": rows, "regularizer": GroupL1(lam=lam, joint=len(rows) > 1)})
    free: list[torch.Tensor] = []
    for node, linear in _linears(network):
        if not node.searched:
            free += [linear.weight, linear.bias]
        elif not grouped:
            free.append(linear.bias)
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
    """All that a size depends on: active groups by searched layer, and scalars that are not 0 by sum."""
    return active_counts(network) | scalar_counts(network)


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


def sparse_start_(network: Network, *, density: float, scale: float, generator: torch.Generator) -> None:
    """Begin a search: a share `density` of every index set's groups awake, the rest at exactly 0, and all scalars too.

    An unsearched head is dense with standard deviation √(1 / fan_in).
    """
    first = {name: names[0] for names in network.graph.index_sets() for name in names}
    live: dict[str, torch.Tensor] = {}
    for node, linear in _linears(network):
        if node.searched:
            tied = first[node.name] in live
            drawn = sparse_rows_(
                linear.weight,
                linear.bias,
                density=1.0 if tied else density,
                scale=scale,
                generator=generator,
                bias_form=network.graph.bias,
            )
            if tied:
                _sleep(linear, ~live[first[node.name]], with_bias=network.graph.bias == "grouped")
            else:
                live[node.name] = drawn
        else:
            with torch.no_grad():
                draw = torch.randn(linear.weight.shape, generator=generator)
                linear.weight.copy_(draw / math.sqrt(linear.in_features))
                linear.bias.zero_()
    with torch.no_grad():
        for scalars in network.scalars.values():
            scalars.zero_()


@torch.no_grad()
def _sleep(linear: torch.nn.Linear, rows: torch.Tensor, *, with_bias: bool) -> None:
    linear.weight[rows] = 0.0
    if with_bias:
        linear.bias[rows] = 0.0


def _active(network: Network, node: Node) -> torch.Tensor:
    linear = network.layer(node)
    mask = (linear.weight.detach() != 0).any(dim=1)
    if network.graph.bias == "grouped":
        mask |= linear.bias.detach() != 0
    return mask


def _linears(network: Network) -> Iterator[tuple[Node, torch.nn.Linear]]:
    return ((node, network.layer(node)) for node in network.graph.layers())
