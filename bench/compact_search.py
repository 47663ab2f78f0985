"""Whole searches with plain and with compact steps: the same architecture, and what each of them costs."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

import datasets
from models.network import Network, he_
from models.stepper import Stepper
from spec import SearchSpec
from spec.graph import resized
from worker import searching
from worker.job import Folder, Job
from worker.objective import objective
from worker.pipeline import Pipeline
from worker.progress import EpochDone, Message, StageBegun
from worker.samples import Samples
from worker.seeds import stream
from worker.training import Schedule, Training, batches_of

ASKED: dict[str, Any] = {
    "superstructure": {"kind": "mlp", "widths": [784] * 5, "group_head": True},
    "task": {"kind": "denoise", "sigma": 0.2}, "finetune": {"epochs": 0}, "compare": [], "seed": 1,
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {  # the first is the one whose ratio is told by itself
    "AdaBreg, published": {"optimizer": "adabreg", "lam": 0.07, "density": 0.01, "init_scale": 5.0},
    "AdaBreg, ours": {"optimizer": "adabreg", "lam": 0.04},
    "LinBreg": {"optimizer": "linbreg", "lam": 0.01, "lr": 3.0, "momentum": 0.0},
}


@dataclass
class Searched:
    """What a search took, and what it found. The epochs alone: what a process does once is in neither."""

    cpu_s: float
    wall_s: float
    epochs: list[EpochDone]

    @property
    def counts(self) -> list[int]:
        """Active neurons by layer."""
        return list(self.epochs[-1].counts.values())


class _SearchEnded(Exception):
    """The next stage would begin."""


def asked(method: str, data: str, epochs: int) -> SearchSpec:
    """The search of six times 784 that all of this is about."""
    return SearchSpec.model_validate(
        {**ASKED, "method": METHODS[method], "data": data, "budget": {"epochs": epochs, "batch_size": 128}}
    )


def load(name: str) -> Samples:
    """A data set; those that do not come with a package lie in BREGNAS_DATA."""
    root = os.environ.get("BREGNAS_DATA")
    return Samples(datasets.load(name, None if root is None else Path(root)))


def search(spec: SearchSpec, samples: Samples, *, plain: bool) -> Searched:
    """The search stage."""
    told: list[EpochDone] = []
    begun = [0.0, 0.0]

    def emit(message: Message) -> None:
        if isinstance(message, EpochDone):
            told.append(message)
        elif isinstance(message, StageBegun):
            if message.stage != "search":
                raise _SearchEnded
            begun[:] = time.process_time(), time.perf_counter()

    with tempfile.TemporaryDirectory() as place, _steps(plain):
        folder = Folder(Path(place) / "search")
        folder.create(Job(search_id="srch_" + "0" * 32, created_at=0.0, spec=spec, checkpoint_s=1e9))
        with contextlib.suppress(_SearchEnded):
            Pipeline(folder.read_job(), folder, samples, emit, lambda: False).run()
    return Searched(time.process_time() - begun[0], time.perf_counter() - begun[1], told)


@contextlib.contextmanager
def _steps(plain: bool) -> Iterator[None]:
    before: Callable[..., Stepper] = searching.stepper_for
    if plain:
        searching.stepper_for = lambda network, moves, clip=None, **_: Stepper(network, moves, clip)
    try:
        yield
    finally:
        searching.stepper_for = before


def candidate(spec: SearchSpec, samples: Samples, counts: dict[str, int]) -> tuple[float, float]:
    """CPU and wall seconds of training a network of the found widths with Adam for as many epochs."""
    graph = resized(spec.superstructure.graph(samples.shape.shape, samples.shape.shape), counts)
    network = he_(Network(graph, samples.inputs), stream(1, "start"))
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    size = spec.budget.batch_size
    training = Training(
        "candidate", Stepper(network, adam), Schedule("constant", 1e-3), objective(spec.task), samples,
        steps=spec.budget.epochs * batches_of(samples, size), batch_size=size, seed=1,
    )  # fmt: skip
    started = time.process_time(), time.perf_counter()
    while training.epoch < training.epochs:
        training.run_epoch(lambda: None)
    return time.process_time() - started[0], time.perf_counter() - started[1]


def arithmetic(epochs: list[EpochDone], inputs: int, batch: int) -> tuple[float, float]:
    """Multiplications a sample of a compact step, the mean over a search, and of a step of training what it found.

    Of a layer with a of n neurons active, b of m below it, and a⁺ active above: forward ab; active gradients ab (and
    for the layer below ab); the sleepers', (n - a) of them, as one thick product (n - a)(a⁺ + b) or as two thin ones,
    ba⁺ + ba⁺(n - a)/batch. The thin ones are taken where they are fewer. A dense step takes 3ab.
    """
    widths = [inputs, *(784 for _ in epochs[0].counts)]
    steps, dense = [], 0.0
    for epoch in epochs:
        active = [inputs, *epoch.counts.values()]
        total = 0.0
        for layer in range(1, len(active)):
            a, b, asleep = active[layer], active[layer - 1], widths[layer] - active[layer]
            total += (3 if layer > 1 else 2) * a * b
            if layer + 1 < len(active):
                above = active[layer + 1]
                total += min(asleep * (above + b), b * above * (1 + asleep / batch))
            else:
                total += asleep * b
        dense = 3.0 * sum(a * b for a, b in pairwise(active)) - active[0] * active[1]
        steps.append(total)
    return sum(steps) / len(steps), dense
