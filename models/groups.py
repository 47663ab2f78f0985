"""Which parameters form a group, which groups are active, and how a search starts with a few of them."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from linbreg import GroupL1, sparse_rows_
from models.network import Network
from spec.graph import Node


def parameter_groups(network: Network, lam: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser of `linbreg`: one regularised group a searched layer, the rest with J ≡ 0."""
    groups: list[dict[str, Any]] = []
    free: list[torch.Tensor] = []
    for node in network.graph.layers():
        linear = network.layer(node)
        if not node.searched:
            free += [linear.weight, linear.bias]
        elif network.graph.bias == "grouped":
            groups.append({"params": [linear.weight, linear.bias], "regularizer": GroupL1(lam=lam, joint=True)})
        else:
            groups.append({"params": [linear.weight], "regularizer": GroupL1(lam=lam)})
            free.append(linear.bias)
    return [*groups, {"params": free}] if free else groups


def active_masks(network: Network) -> dict[str, torch.Tensor]:
    """For every searched layer, which of its groups are active: bool of shape (width,)."""
    return {node.name: _active(network, node) for node in network.graph.searched()}


def active_counts(network: Network) -> dict[str, int]:
    """Number of active groups of every searched layer."""
    return {name: int(mask.sum()) for name, mask in active_masks(network).items()}


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
    """Begin a search: a share `density` of every searched layer's groups awake, the rest at exactly 0.

    An unsearched head is dense with standard deviation √(1 / fan_in).
    """
    for node, linear in _linears(network):
        if node.searched:
            sparse_rows_(
                linear.weight,
                linear.bias,
                density=density,
                scale=scale,
                generator=generator,
                bias_form=network.graph.bias,
            )
        else:
            with torch.no_grad():
                draw = torch.randn(linear.weight.shape, generator=generator)
                linear.weight.copy_(draw / math.sqrt(linear.in_features))
                linear.bias.zero_()


def _active(network: Network, node: Node) -> torch.Tensor:
    linear = network.layer(node)
    mask = (linear.weight.detach() != 0).any(dim=1)
    if network.graph.bias == "grouped":
        mask |= linear.bias.detach() != 0
    return mask


def _linears(network: Network) -> Iterator[tuple[Node, torch.nn.Linear]]:
    return ((node, network.layer(node)) for node in network.graph.layers())
