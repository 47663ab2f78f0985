"""Convolutions on real images: what U-Nets are measured on, for `bench.measure`, and what that will cost.

    python -m bench.unets --data-root FOLDER

prints an estimate: the time of a step of every network, times the steps. Denoising at σ = 25/255 is trained on BSD400
and tested on the whole images of Set12; segmentation on nuclei and on membranes in an electron microscope.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

import datasets
from bench.sizes import Search
from models.network import Network, he_
from models.stepper import Stepper
from spec import SIZES, Graph, SearchSpec, crops
from spec.rivals import rivals
from spec.task import output_shape
from worker.objective import objective
from worker.race import RATES, Arm, trials
from worker.samples import Samples
from worker.seeds import stream
from worker.tiles import tiling
from worker.training import Schedule, Training, batches_of

SEEDS: Final = (1, 2, 3)
ALL: Final = ("flat", "scaled", "ratio", "random", "scratch", "control")
EPOCHS: Final[dict[str, Any]] = {"budget": {"epochs": 3}, "finetune": {"epochs": 9}}
DENOISER: Final[dict[str, Any]] = {"kind": "unet", "levels": 3, "base": 32, "growth": 1.5, "residual": True}
SEGMENTER: Final[dict[str, Any]] = {"kind": "unet", "levels": 4, "base": 24, "growth": 1.5}
# The authors' convolutional network; theirs is bench.published_convnet.
CONVNET: Final[dict[str, Any]] = {"kind": "convnet", "channels": [64, 64], "kernel": 5, "hidden": [128]}


@dataclass(frozen=True)
class Given:
    """A task on data, with the superstructure and the sizes (in parameters) that are asked for."""

    name: str
    data: str
    task: dict[str, Any]
    superstructure: dict[str, Any]
    targets: tuple[int, ...]
    budget: dict[str, Any] = field(default_factory=dict)

    @property
    def batch_size(self) -> int:
        """Crops of a step."""
        return int(self.budget["batch_size"])

    def spec(self, target: int, seeds: Sequence[int]) -> SearchSpec:
        """The search for a network of `target` parameters."""
        return SearchSpec.model_validate(
            {
                "superstructure": self.superstructure,
                "task": self.task,
                "data": self.data,
                "target": {"parameters": target},
                "method": {"lr": 0.002},
                "compare": ALL,
                "seeds": seeds,
                "budget": EPOCHS["budget"] | self.budget,
                "finetune": EPOCHS["finetune"],
            }
        )


def given() -> list[Given]:
    """What is searched: epochs of 67 to 90 steps."""
    segment = {"kind": "segment"}
    squares: dict[str, Any] = {"batch_size": 8, "crop": 64}
    return [
        Given("denoise", "bsd400", {"kind": "denoise", "sigma": 25 / 255}, DENOISER, (10_000, 30_000, 100_000),
              {"batch_size": 8, "crop": 48, "crops_per_image": 2}),
        Given("nuclei", "nuclei", segment, SEGMENTER, (5_000, 20_000), squares | {"crops_per_image": 2}),
        Given("membrane", "membrane", segment, SEGMENTER, (5_000, 20_000), squares | {"crops_per_image": 32}),
    ]  # fmt: skip


def unets() -> Iterator[Search]:
    """Every task at every size with all candidates, three seeds each; the smallest sizes first."""
    for i in range(max(len(task.targets) for task in given())):
        for task in given():
            if i < len(task.targets):
                target = task.targets[i]
                told = {"part": "unets", "data": task.data, "task": task.name, "parameters": target}
                yield Search(f"unet {task.name} {target}", task.spec(target, SEEDS), told)


def convnets() -> Iterator[Search]:
    """The authors' convolutional network on Fashion-MNIST at a twentieth of its size, filters searched, one seed."""
    how = {
        "superstructure": CONVNET, "task": {"kind": "classify"}, "data": "fashion-mnist", "seed": 1,
        "target": {"fraction": 0.05}, "budget": {"epochs": 4}, "finetune": {"epochs": 6},
        "compare": ["flat", "scaled", "ratio", "scratch"],
    }  # fmt: skip
    told = {"part": "convnets", "data": "fashion-mnist", "task": "classify"}
    yield Search("convnet fashion-mnist 5 %", SearchSpec.model_validate(how), told)


def seconds(spec: SearchSpec, samples: Samples) -> tuple[float, float]:
    """CPU seconds of one thread: one whole training of equal widths, and all of the search, as far as is known."""
    shape = samples.shape
    shapes = shape.shape, output_shape(spec.task, shape)
    graph = spec.superstructure.graph(*shapes)
    batches = batches_of(samples, spec.budget.batch_size, crops(spec.budget, spec.task, graph, shape))
    large = _step(spec, samples, graph)
    limit = None if spec.target is None else spec.target.limit(graph)
    small = (
        rivals("flat", spec.superstructure, *shapes, SIZES["parameters"], limit, seed=1)[-1].graph if limit else graph
    )
    step, seeds = _step(spec, samples, small), len(spec.all_seeds)
    whole = spec.full_epochs * batches
    searched = seeds * spec.budget.epochs * batches * large
    arms = [Arm("found", "found", rate) for rate in RATES]
    tuned = (
        seeds * sum(trial.steps for trial in trials(arms, spec.finetune.epochs * batches))
        if spec.finetune.epochs
        else 0
    )
    named = [name for name in spec.rivals if name != "control"]
    against = (
        sum(t.steps for t in trials([Arm(n, n, rate) for n in named for rate in RATES], whole, named[0]))
        if named
        else 0
    )
    repeated = (seeds - 1 if named else 0) + (seeds if "control" in spec.rivals else 0)
    return whole * step, searched + (tuned + against + repeated * whole) * step


def _step(spec: SearchSpec, samples: Samples, graph: Graph, times: int = 4) -> float:
    goal, squares = objective(spec.task), crops(spec.budget, spec.task, graph, samples.shape)
    network = he_(Network(graph, samples.inputs), stream(1, "start"))
    stepper = Stepper(network, torch.optim.Adam(network.parameters(), fused=True))
    training = Training(
        "estimate", stepper, Schedule("constant", 1e-4), goal,
        samples, steps=times + 1, batch_size=spec.budget.batch_size, seed=1, crops=squares, tiling=tiling(graph),
    )  # fmt: skip
    indices = torch.arange(spec.budget.batch_size)
    training._step(indices)
    started = time.process_time()
    for _ in range(times):
        training._step(indices)
    return (time.process_time() - started) / times


def main() -> None:
    """A line a case, and the sum."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, required=True)
    root = parser.parse_args().data_root
    torch.set_num_threads(1)
    total = 0.0
    for case in (*unets(), *convnets()):
        training, whole = seconds(case.spec, Samples(datasets.load(case.spec.data, root)))
        total += whole
        print(f"{case.name}: {training:.0f} s a training, {whole / 60:.0f} min in all", flush=True)
    print(f"{total / 3600:.1f} hours of one core, without validation")


if __name__ == "__main__":
    main()
