"""The search itself: a superstructure, how it begins, its optimiser, and what keeps it at a size."""

from typing import Final

import torch

from models.admission import Admission
from models.budget import Budget, start_density
from models.groups import kernel_start_, sparse_start_
from models.network import Network
from models.selection import Selection
from models.steppers import stepper_for
from models.swaps import Swaps, flat_start_
from spec import Crops, Graph, SearchSpec, Target, parameters
from spec.method import Bregman, ProxAdam, ProxSGD, Way
from worker.objective import Objective
from worker.optimizers import lam_schedule, optimizer
from worker.samples import Samples
from worker.seeds import stream
from worker.tiles import Tiling
from worker.training import Schedule, Training, batches_of

_SELECTIONS: Final[dict[Way, type[Selection]]] = {"quantile": Budget, "admission": Admission, "swaps": Swaps}
HELD_LAM: Final = 0.02
"""λ where it stays: small, since it also shrinks what is awake."""
CLIP: Final = 1.0
"""Of the gradient's norm, where λ stays: the first steps have gradients a hundred times as large as the rest."""


def searching(
    name: str,
    graph: Graph,
    spec: SearchSpec,
    objective: Objective,
    samples: Samples,
    *,
    seed: int,
    device: torch.device,
    crops: Crops | None,
    tiling: Tiling | None,
    whole: Target | None = None,
) -> Training:
    """The training that searches in `graph`, before its first step.

    With `whole`, the size of all of `graph`, there is nothing to select: the same training without the search.
    """
    how, target = spec.method, whole or spec.target
    way: Way = "swaps" if whole else spec.selection
    held = target is not None and way != "quantile"
    network = Network(graph, samples.inputs, samples.outputs)
    _start_(network, spec, way, target, stream(seed, "start"))
    network.to(device)
    steps = spec.budget.epochs * batches_of(samples, spec.budget.batch_size, crops)
    kind = how.schedule or ("constant" if target is None else "cosine")
    moves, most = optimizer(network, how, HELD_LAM if held else how.start_lam), parameters(graph)
    stepper = stepper_for(network, moves, CLIP if held else None, bfloat16=spec.budget.precision == "bfloat16")
    training = Training(
        name, stepper, Schedule(kind, how.lr), objective, samples,
        steps=steps, batch_size=spec.budget.batch_size, seed=seed, crops=crops, tiling=tiling,
    )  # fmt: skip
    training.watch = lambda: parameters(graph, stepper.in_use()) / most
    if target is not None:
        selection = _SELECTIONS[way](stepper, target, steps)
        batches = training.batches  # not the training itself: it would hold itself, and its optimiser, alive
        training.after_step = lambda done: selection.after(done, ends_epoch=done % batches == 0)
        stepper.looks = {k for k in range(1, steps + 1) if selection.looks(k)}
    elif (moving := lam_schedule(moves, how, steps)) is not None:
        training.after_step = moving.go_to
    return training


def _start_(network: Network, spec: SearchSpec, way: Way, target: Target | None, generator: torch.Generator) -> None:
    if target is not None and way == "swaps":
        flat_start_(network, target, scale=spec.init_scale, generator=generator)
        return
    density = spec.method.start_density
    if target is not None:  # λ as a quantile begins with a quarter of the target, unless less is asked for
        density = start_density(network.graph, target, spec.method.density or (1.0 if way == "quantile" else density))
    if isinstance(spec.method, Bregman | ProxAdam | ProxSGD) and spec.method.groups == "kernels":
        kernel_start_(network, density=density, scale=spec.init_scale, generator=generator)
        return
    live = spec.convolutional or way == "admission"
    sparse_start_(network, density=density, scale=spec.init_scale, generator=generator, live_fan_in=live)
