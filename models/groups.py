"""Which parameters form a group, which groups are active, and how a search starts with a few of them."""

import math
from typing import Any, Literal

import torch

from linbreg import L1, GroupL1, KernelGroupL1, sparse_rows_
from models.network import Network
from models.ops import OPS
from spec.graph import Node, kept_counts, used


def parameter_groups(
    network: Network,
    lam: float,
    scalars: dict[str, Any] | None = None,
    *,
    groups: Literal["filters", "kernels"] = "filters",
) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser of `linbreg`: one regularised group an index set, the rest with J ≡ 0.

    The layers of an index set share their groups: neuron i is row i of all of them. `scalars` are settings of a group
    for the scalars of sums, such as its regulariser; without it those are among the rest.

    With `groups` "kernels", the authors' form, a group is a single kernel of a convolution or a single weight of a
    linear layer, the head's too; all biases are among the rest.
    """
    graph = network.graph
    regularized: list[dict[str, Any]] = []
    if groups == "kernels":
        kernels, weights = single_weights(network)
        parts = ((kernels, KernelGroupL1(lam)), (weights, L1(lam)))
        regularized += [{"params": params, "regularizer": penalty} for params, penalty in parts if params]
        free = [network.rows(node)["bias"] for node in graph.layers()]
    else:
        grouped = graph.bias == "grouped"
        for names in graph.index_sets():
            layers = [network.rows(graph[name]) for name in names]
            rows = [p for layer in layers for key, p in layer.items() if grouped or key == "weight"]
            regularized.append({"params": rows, "regularizer": GroupL1(lam=lam, joint=len(rows) > 1)})
        free = [
            p
            for node in graph.layers()
            for key, p in network.rows(node).items()
            if not node.searched or (not grouped and key == "bias")
        ]
    if scalars is not None and len(network.scalars):
        regularized.append({"params": list(network.scalars.values()), **scalars})
    else:
        free += network.scalars.values()
    return [*regularized, {"params": free}] if free else regularized


def single_weights(network: Network) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """The weights of convolutions, (out, in, height, width), and those of linear layers, (out, in)."""
    weights = [rows["weight"] for rows in map(network.rows, network.graph.layers()) if "weight" in rows]
    return [weight for weight in weights if weight.dim() > 2], [weight for weight in weights if weight.dim() == 2]


@torch.no_grad()
def kernel_start_(
    network: Network, *, density: float, scale: float, generator: torch.Generator, bias_scale: float = 1.0
) -> None:
    """Begin as the authors do: a share `density` of single kernels and of single linear weights awake, scalars at 0.

    `scale` is a factor on He's deviation √(2 / fan_in) in every layer, the head too; biases are uniform between 0 and
    `bias_scale` / √fan_in. Draws are of the CPU.
    """
    for node in network.graph.layers():
        rows = network.rows(node)
        weight, bias = rows["weight"], rows["bias"]
        fan_in, kernel = weight[0].numel(), (1,) * (weight.dim() - 2)
        awake = torch.rand((*weight.shape[:2], *kernel), generator=generator) < density
        weight.copy_(torch.randn(weight.shape, generator=generator) * awake * scale * math.sqrt(2 / fan_in))
        bias.copy_(torch.rand(bias.shape, generator=generator) * bias_scale / math.sqrt(fan_in))
    for scalars in network.scalars.values():
        scalars.zero_()


def weight_shares(network: Network) -> dict[str, float]:
    """What is left of single `kernels` and of `linear weights`, as shares: those that are not exactly 0."""
    kernels, weights = single_weights(network)
    masks = {"kernels": KernelGroupL1(0.0).active(kernels), "linear weights": L1(0.0).active(weights)}
    return {
        name: sum(int(mask.sum()) for mask in found) / sum(mask.numel() for mask in found)
        for name, found in masks.items()
        if found
    }


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
