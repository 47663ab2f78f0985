"""MLPs at a fixed share of active neurons, and the steps that are compared on them: plain, compact, torch's dense."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from linbreg import AdaBreg, BregmanOptimizer, LinBreg
from models.compact import CompactMlp
from models.groups import active_masks, parameter_groups, sparse_start_
from models.network import Network
from models.stepper import Stepper
from spec.mlp import Mlp

Optimizer = Literal["LinBreg", "LinBreg, momentum", "AdaBreg"]
PIXELS, BATCH, LAM = 784, 128, 0.05
LR = 1e-7
"""So small that nothing wakes or falls asleep while time is taken."""
SLEEPING = 0.8
"""Norm of a sleeper's dual, of its threshold. At 0 products would be so small that a processor takes long over them."""


def network(optimizer: Optimizer, active: float, *, width: int = PIXELS, group_head: bool = True) -> Any:
    """A network of six linear layers, `active` of the neurons of each awake (a share, or a number above 1)."""
    graph = Mlp(kind="mlp", widths=(width,) * 5, group_head=group_head).graph((PIXELS,), (PIXELS,))
    made = Network(graph)
    generator = torch.Generator().manual_seed(1)
    sparse_start_(made, density=1.0, scale=1.0, generator=generator)
    with torch.no_grad():
        for node in graph.searched():
            awake = round(active * node.width) if active <= 1 else min(int(active), node.width)
            for param in made.rows(node).values():
                param[torch.randperm(node.width, generator=torch.Generator().manual_seed(node.width))[awake:]] = 0
    groups = parameter_groups(made, LAM)
    momentum = 0.9 if optimizer == "LinBreg, momentum" else 0.0
    moves: BregmanOptimizer = (
        AdaBreg(groups, lr=LR) if optimizer == "AdaBreg" else LinBreg(groups, lr=LR, momentum=momentum)
    )
    with torch.no_grad():
        for node, mask in zip(graph.searched(), active_masks(made).values(), strict=True):
            for param in made.rows(node).values():
                dual = moves.state[param]["dual"]
                dual[~mask] = SLEEPING * LAM * torch.randn(dual[~mask].shape, generator=generator)
    return made, moves


def plain(optimizer: Optimizer, active: float, **shape: Any) -> Stepper:
    """The plain step: autograd, foreach or fused updates in place, θ written in place."""
    return Stepper(*network(optimizer, active, **shape))


def compact(optimizer: Optimizer, active: float, **shape: Any) -> Stepper:
    """The compact step."""
    return CompactMlp(*network(optimizer, active, **shape))


def dense(optimizer: Optimizer, **shape: Any) -> Stepper:
    """torch's own fused Adam or SGD on the same network, all of it awake."""
    made, _ = network(optimizer, 1.0, **shape)
    kind = torch.optim.Adam if optimizer == "AdaBreg" else torch.optim.SGD
    return Stepper(made, kind(made.parameters(), lr=LR, fused=True))


def batch() -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Inputs, and the loss of outputs."""
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.rand(BATCH, PIXELS, generator=generator) for _ in range(2))
    return x, lambda output: F.mse_loss(output, y)


def medians(steppers: Mapping[str, Stepper], rounds: int) -> dict[str, float]:
    """Median ms of a step of each, one after the other in every round. CPU time: other processes may run beside."""
    given = batch()
    taken: dict[str, list[float]] = {name: [] for name in steppers}
    for stepper in steppers.values():
        for _ in range(3):
            stepper.step(*given)
    for _ in range(rounds):
        for name, stepper in steppers.items():
            times = 1 if name != "compact" else 3  # a short one is not to pay alone for the memory of a long one
            started = time.thread_time()
            for _ in range(times):
                stepper.step(*given)
            taken[name].append(1e3 * (time.thread_time() - started) / times)
    return {name: statistics.median(times) for name, times in taken.items()}


def peak_bytes(make: Callable[[], Stepper]) -> int:
    """Bytes of all tensors between steps, and of the most that a step has beside them at any time."""
    before = _held()
    stepper, given = make(), batch()
    for _ in range(3):
        stepper.step(*given)
    held = _held() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        stepper.step(*given)
    now = most = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return held + most


def _held() -> int:
    gc.collect()
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())
