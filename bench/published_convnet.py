"""The authors' convolutional network on Fashion-MNIST in their own form: single kernels and single weights.

64c5-64c5-128-10, LinBreg with lr 0.07 and λ = 0.5, a start with 1 % of the kernels and weights; they report 88.0 % on
the test images after 100 epochs, with 3.58 % of the kernels and 3.37 % of the linear weights left (JMLR 23(192), 2022).

    python -m bench.published_convnet --data-root FOLDER --epochs 100

A line an epoch; it goes on behind the last epoch that was kept, and the test images are scored once, at the end.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

import datasets
from bench.machine import description
from bench.records import append, key
from bench.unets import CONVNET
from models.groups import in_use, kernel_start_, weight_shares
from models.network import Network
from models.stepper import Stepper
from spec import SearchSpec, parameters
from spec.task import output_shape
from worker import checkpoint
from worker.objective import objective
from worker.optimizers import optimizer
from worker.samples import Samples
from worker.seeds import stream
from worker.training import Schedule, Training, batches_of, evaluate

OUT: Final = Path("bench/results/published_convnet.jsonl")
BIAS_SCALE: Final = 10.0
LINBREG: Final[dict[str, Any]] = {
    "optimizer": "linbreg", "lr": 0.07, "lam": 0.5, "density": 0.01, "init_scale": 10.0, "momentum": 0.0,
}  # fmt: skip


def specification(epochs: int, seed: int = 1) -> SearchSpec:
    """What is asked for: their network with their ReLU, their method, and nothing after it."""
    asked: dict[str, Any] = {
        "superstructure": CONVNET | {"activation": "relu"}, "task": {"kind": "classify"}, "data": "fashion-mnist",
        "method": LINBREG | {"groups": "kernels"}, "budget": {"epochs": epochs}, "finetune": {"epochs": 0},
        "compare": [], "seed": seed,
    }  # fmt: skip
    return SearchSpec.model_validate(asked)


def prepared(spec: SearchSpec, samples: Samples) -> Training:
    """The training before its first step. Biases begin as uniform between 0 and 10 / √fan_in."""
    goal, how = objective(spec.task), spec.method
    shapes = samples.shape.shape, output_shape(spec.task, samples.shape)
    network = Network(spec.superstructure.graph(*shapes), samples.inputs)
    kernel_start_(
        network, density=how.start_density, scale=spec.init_scale, bias_scale=BIAS_SCALE,
        generator=stream(spec.seed, "start"),
    )  # fmt: skip
    size = spec.budget.batch_size
    return Training(
        "published", Stepper(network, optimizer(network, how)), Schedule("constant", how.lr), goal, samples,
        steps=spec.budget.epochs * batches_of(samples, size), batch_size=size, seed=spec.seed,
    )  # fmt: skip


def run(spec: SearchSpec, samples: Samples, out: Path = OUT) -> None:
    """Train what is left, with a record and a checkpoint an epoch."""
    training = prepared(spec, samples)
    name = key(spec.model_copy(update={"budget": spec.budget.model_copy(update={"epochs": 1})}))  # whatever the length
    folder = out.parent / "unfinished" / f"published_convnet-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    if (kept := checkpoint.load(folder)) is not None:
        training.restore(*kept)
    while training.epoch < training.epochs:
        loss = training.run_epoch(lambda: None)
        assert training.scores is not None
        checkpoint.save(folder, *training.state())
        record = {"key": name, "epoch": training.epoch, "train_loss": loss, "validation": asdict(training.scores)}
        append(out, record | _size(training.network) | {"seconds": training.seconds, "machine": description()})
        training.seconds = 0.0
    test = evaluate(training.network, training.objective, samples.splits["test"], spec.seed, "test")
    append(out, {"key": name, "epochs": training.epoch, "test": asdict(test)} | _size(training.network))


def _size(network: Network) -> dict[str, Any]:
    """Shares of single weights, and what a network without the sleeping filters would have."""
    counts = in_use(network)
    return {"shares": weight_shares(network), "counts": counts, "parameters": parameters(network.graph, counts)}


def main() -> None:
    """Run it on one thread."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    spec = specification(given.epochs, given.seed)
    run(spec, Samples(datasets.load(spec.data, given.data_root)))


if __name__ == "__main__":
    main()
