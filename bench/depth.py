"""Does a search of depth pay? Against flat networks of equal size and the best linear one, in closed form.

    python -m bench.depth [--only CASE …] [--seeds N] [--data-root FOLDER] [--out FILE]

Every method trains as many epochs at as many parameters, with the step size that is best by validation on the first
seed: it is doubled and halved while that helps. One JSON line a run, in the file as it comes: what is there is not
run again. Prints a table at the end. MNIST and Fashion-MNIST are read from FOLDER (`BREGNAS_DATA` where none is
given).
"""

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

import datasets
from bench.machine import description
from bench.records import Record, append, read
from linbreg.gates import GateRule
from models.depth import start_from_linear
from models.network import Network, he_
from models.stepper import Stepper
from spec import Graph, parameters
from spec.mlp import Mlp
from spec.rivals import rivals
from spec.task import Autoencode, Classify, Deblur, Denoise, Task
from worker.depth import DepthTraining
from worker.failure import SearchFailed
from worker.linear import closed_form
from worker.objective import objective
from worker.samples import Samples
from worker.seeds import stream
from worker.training import Schedule, Training, batches_of, evaluate

DEPTH: Final = 5
SUPERSTRUCTURE: Final = Mlp(kind="mlp", widths=(784,) * DEPTH)
# Every window is judged, whether the loss has settled and the last opening has paid or not.
HASTY: Final = GateRule(settled=1.0, repaid=False)


@dataclass(frozen=True)
class Case:
    """A task at a size. `train` images of the data set are trained on, all where it is None."""

    name: str
    data: str
    train: int | None
    task: Task
    limit: int
    epochs: int
    batch_size: int = 128


DENOISE: Final = Denoise(kind="denoise", sigma=0.3)
CASES: Final = [
    Case("digits, denoise", "digits", None, DENOISE, 3500, 100, 64),
    Case("digits, autoencode", "digits", None, Autoencode(kind="autoencode"), 3500, 100, 64),
    Case("digits, classify", "digits", None, Classify(kind="classify"), 2500, 60, 64),
    Case("mnist, denoise, short", "mnist", 9000, DENOISE, 118_500, 15),
    Case("mnist, denoise, middling", "mnist", 9000, DENOISE, 118_500, 60),
    Case("mnist, autoencode, short", "mnist", 9000, Autoencode(kind="autoencode"), 118_500, 15),
    Case("fashion-mnist, denoise, short", "fashion-mnist", 9000, DENOISE, 118_500, 15),
    Case(
        "mnist, deblur, short", "mnist", 9000,
        Deblur(kind="deblur", kernel_size=9, kernel_sigma=5.0, sigma=0.05), 118_500, 15,
    ),
    Case("fashion-mnist, classify, short", "fashion-mnist", 9000, Classify(kind="classify"), 60_000, 15),
    Case("mnist, denoise, long", "mnist", None, DENOISE, 118_500, 40),
    Case("fashion-mnist, denoise, long", "fashion-mnist", None, DENOISE, 118_500, 40),
]  # fmt: skip


@dataclass
class Run:
    """One method on one case: the arguments that all of them take."""

    case: Case
    samples: Samples
    lr: float
    seed: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of a sample and of an output."""
        inputs = tuple(self.samples.train.x.shape[1:])
        if isinstance(self.case.task, Classify):
            assert self.samples.classes is not None
            return inputs, (self.samples.classes,)
        return inputs, inputs

    def searched(self, *, closed: bool, rule: GateRule | None) -> tuple[Network, Record]:
        """Depth gates."""
        inputs, outputs = self.shapes
        training = DepthTraining(
            "search", SUPERSTRUCTURE, self.lr, objective(self.case.task), self.samples,
            input_shape=inputs, output_shape=outputs, size=parameters, limit=self.case.limit,
            steps=self.steps, batch_size=self.case.batch_size, seed=self.seed,
            rule=rule, closed_form_start=closed,
        )  # fmt: skip
        while training.epoch < training.epochs:
            training.run_epoch(lambda: None)
        strengths = [[round(strength, 2) for strength in window] for window in training.opening.strengths]
        return training.finish(), {"opened": training.opened, "strengths": strengths}

    def flat(self, depth: int) -> tuple[Network, Record]:
        """Equal widths, from He's start, but with a head of 0.

        With a head of full size the first steps push all neurons below 0 at once, by way of the constant pixels, and
        a narrow network never recovers.
        """
        network = he_(Network(self._flat(depth), self.samples.inputs), stream(self.seed, "flat", "start"))
        torch.nn.init.zeros_(network.layer(network.graph["head"]).weight)
        return self._trained(network), {}

    def flat_from_linear(self) -> tuple[Network | None, Record]:
        """One hidden layer, from the best linear network of its size."""
        best, _ = self.linear()
        if best is None or "hidden1" not in best.layers:
            return None, {}
        few = self.samples.train.batch(torch.arange(min(512, len(self.samples.train))))
        given, _ = objective(self.case.task).pair(*few, stream(self.seed, "flat", "scale"))
        network = start_from_linear(self._flat(1), best, given, stream(self.seed, "flat", "start"))
        return self._trained(network), {}

    def linear(self) -> tuple[Network | None, Record]:
        """No training."""
        goal = objective(self.case.task)
        return closed_form(goal, self.samples, *self.shapes, size=parameters, limit=self.case.limit), {}

    @property
    def steps(self) -> int:
        """Steps of every training."""
        return self.case.epochs * batches_of(self.samples, self.case.batch_size)

    def _flat(self, depth: int) -> Graph:
        shapes = rivals("flat", SUPERSTRUCTURE, *self.shapes, parameters, self.case.limit, seed=0)
        (graph,) = [rival.graph for rival in shapes if len(rival.widths) == depth]
        return graph

    def _trained(self, network: Network) -> Network:
        adam = torch.optim.Adam(network.parameters(), lr=self.lr, fused=True)
        training = Training(
            "flat", Stepper(network, adam), Schedule("warm cosine", self.lr), objective(self.case.task), self.samples,
            steps=self.steps, batch_size=self.case.batch_size, seed=self.seed, keep_best=True,
        )  # fmt: skip
        while training.epoch < training.epochs:
            training.run_epoch(lambda: None)
        return training.finish()


Method = Callable[[Run], tuple[Network | None, Record]]
# The step size that the climb begins with, and how it is done.
METHODS: Final[dict[str, tuple[float, Method]]] = {
    "linear, closed form": (0.0, Run.linear),
    "gates": (0.008, lambda run: run.searched(closed=True, rule=None)),
    "gates, random start": (0.016, lambda run: run.searched(closed=False, rule=None)),
    "gates, random start, hasty": (0.016, lambda run: run.searched(closed=False, rule=HASTY)),
    "flat, depth 1, linear start": (0.008, Run.flat_from_linear),
    "flat, depth 1": (0.004, lambda run: run.flat(1)),
    "flat, depth 2": (0.004, lambda run: run.flat(2)),
    "flat, depth 5": (0.004, lambda run: run.flat(5)),
}


def main() -> int:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], metavar="CASE")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("BREGNAS_DATA"))
    parser.add_argument("--out", type=Path, default=Path("bench/results/depth.jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(description(), flush=True)
    done = {record["key"]: record for record in read(given.out)}
    for case in CASES:
        if case.name in (given.only or [case.name]):
            samples = _samples(case, given.data_root)
            for name in given.methods:
                for record in _runs(case, name, samples, given.seeds, done):
                    append(given.out, record)
                    print({k: v for k, v in record.items() if k != "key"}, flush=True)
    _table(list(done.values()))
    return 0


def _runs(case: Case, name: str, samples: Samples, seeds: int, done: dict[str, Record]) -> Iterator[Record]:
    """The records that are missing: the climb to the best step size on the first seed, and that on the others."""
    first, method = METHODS[name]

    def at(lr: float, seed: int) -> Iterator[Record]:
        key = f"{case.name} | {case.limit} | {case.epochs} | {name} | {lr:g} | {seed}"
        if key not in done:
            done[key] = {"key": key, "case": case.name, "method": name, "lr": lr, "seed": seed}
            done[key] |= _measured(method, Run(case, samples, lr, seed))
            yield done[key]
        losses[lr] = math.inf if done[key]["validation"] is None else done[key]["validation"]

    losses: dict[float, float] = {}
    yield from at(first, 1)
    for factor in (2, 0.5):
        while first and min(losses, key=losses.__getitem__) * factor not in losses:
            yield from at(min(losses, key=losses.__getitem__) * factor, 1)
    best = min(losses, key=losses.__getitem__)
    for seed in range(2, seeds + 1):
        yield from at(best, seed)


def _measured(method: Method, run: Run) -> Record:
    started = time.monotonic()
    try:
        network, told = method(run)
    except SearchFailed as failure:
        return {"validation": None, "failed": failure.code}
    if network is None:
        return {"validation": None}
    goal = objective(run.case.task)
    scores = {
        name: evaluate(network, goal, run.samples.splits[name], run.seed, name) for name in ("validation", "test")
    }
    widths = [node.width for node in network.graph.layers()][:-1]
    return {
        "validation": scores["validation"].loss,
        "test": scores["test"].loss,
        "metric": scores["test"].metric,
        "widths": widths,
        "parameters": parameters(network.graph),
        "seconds": round(time.monotonic() - started, 1),
    } | told


def _samples(case: Case, root: Path | None) -> Samples:
    dataset = datasets.load(case.data, root)
    splits = {**dataset.splits, "train": dataset.splits["train"][: case.train]}
    return Samples(replace(dataset, splits=splits))


def _table(records: list[Record]) -> None:
    """Test loss and metric of every case and method, at its best step size: mean and range over the seeds."""
    for case in dict.fromkeys(record["case"] for record in records):
        print(f"\n{case}")
        for name in METHODS:
            runs = [r for r in records if r["case"] == case and r["method"] == name and r["validation"] is not None]
            first = [r for r in runs if r["seed"] == 1]
            if not first:
                continue
            lr = min(first, key=lambda r: r["validation"])["lr"]
            chosen = [r for r in runs if r["lr"] == lr]
            losses = [r["test"] for r in chosen]
            print(
                f"  {name:28} test {statistics.mean(losses):.5f} ({min(losses):.5f} to {max(losses):.5f}), "
                f"metric {statistics.mean(r['metric'] for r in chosen):.4f}, lr {lr:g}, {len(chosen)} seeds, "
                f"widths {chosen[0]['widths']}"
            )


if __name__ == "__main__":
    sys.exit(main())
