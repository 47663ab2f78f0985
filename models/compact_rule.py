"""Which searches of MLPs take compact steps, and how long what sleeps goes on moving there."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from linbreg import AdaBreg, GroupL1, LinBreg
from models.compact_blocks import SLOPES
from models.network import Network
from spec.graph import Graph

LONGEST: Final = 3000
"""Steps that moments may take to die down."""


def fits(network: Network, optimizer: torch.optim.Optimizer) -> bool:
    """Whether `CompactMlp` can do the steps: a rule of what is asked, that gives the same answer at any time.

    It can for a chain of linear layers with the bias in the group, σ(0) = 0 and a slope there, and LinBreg or AdaBreg
    without weight decay, which would move what is behind the front. On the CPU: nobody has measured whether it is
    faster elsewhere.
    """
    graph, like, layers = network.graph, next(network.parameters()), list(network.graph.layers())
    if not isinstance(optimizer, LinBreg | AdaBreg) or not _is_chain(graph):
        return False
    sets = len(graph.index_sets())
    grouped, free = optimizer.param_groups[:sets], optimizer.param_groups[sets:]
    return (
        graph.bias == "grouped"
        and all(node.activation in SLOPES and node.searched for node in layers[:-1])
        and all(isinstance(group["regularizer"], GroupL1) and group["regularizer"].joint for group in grouped)
        and all(group["regularizer"] is None for group in free)
        and all(group["weight_decay"] == 0 for group in optimizer.param_groups)
        and len({group["delta"] for group in optimizer.param_groups}) == 1
        and len({decays(group) for group in optimizer.param_groups}) == 1
        and decay_steps(decays(grouped[0])) <= LONGEST
        and like.dtype in (torch.float32, torch.float64)
        and like.device.type == "cpu"
    )


def _is_chain(graph: Graph) -> bool:
    """Whether every node has one source, the one before it, and but for the linear layers none computes."""
    ops = [node.op for node in graph.nodes]
    follows = all(node.sources == (before.name,) for before, node in zip(graph.nodes, graph.nodes[1:], strict=False))
    return follows and ops.count("linear") > 1 and set(ops) <= {"input", "flatten", "linear", "place"}


def decays(group: Mapping[str, Any]) -> tuple[float, ...]:
    """By how much each moment of a weight without a gradient shrinks in a step; there may be none."""
    momentum = group.get("momentum", 0.0)
    return tuple(group.get("betas", (momentum,) if momentum else ()))


def decay_steps(betas: Sequence[float]) -> float:
    """Steps without a gradient after which moments move a weight by less than rounding, at least 300.

    A step of Adam's is m₁/√m₂, and shrinks by β₁/√β₂ with every one; it never ends where that is not below 1. One of
    momentum shrinks by β.
    """
    first, second = (*betas, 1.0, 1.0)[:2] if betas else (0.0, 1.0)
    ratio = first / math.sqrt(second) if second else math.inf
    if ratio >= 1:
        return math.inf
    return max(300, math.ceil(-31 / math.log(ratio))) if ratio else 300
