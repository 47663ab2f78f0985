"""Whole searches, as the service runs them: sizes on request, candidates of equal size, optimisers side by side."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from bench.pool import Load
from bench.records import Record, key
from bench.search import CHECKPOINT_S, asked_to_stop
from spec import SearchSpec
from worker import results
from worker.failure import SearchFailed
from worker.job import Folder, Job
from worker.outcome import Outcome
from worker.pipeline import Pipeline
from worker.samples import Samples

WIDE: Final = {"kind": "mlp", "widths": [784] * 5}
TASKS: Final[dict[str, dict[str, Any]]] = {
    "denoise": {"kind": "denoise", "sigma": 0.3},
    "autoencode": {"kind": "autoencode"},
    "classify": {"kind": "classify"},
}
SETS: Final = ("mnist", "fashion-mnist")
ALL: Final = ("linear", "flat", "scaled", "geometric", "random", "scratch")
# Short enough for an evening of two cores, all candidates and seeds included: see docs/results.md.
SHORT: Final = {"budget": {"epochs": 2}, "finetune": {"epochs": 6}}
TWICE: Final = {"budget": {"epochs": 2}, "finetune": {"epochs": 12}}


@dataclass(frozen=True)
class Search:
    """A search from its specification to its result. `told` says more of the case, for the tables."""

    name: str
    spec: SearchSpec
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Names the run."""
        return key(self.spec)

    def run(self, load: Load, beside: Path) -> Record:
        """Its result, and how size, λ and loss went by epoch. Raises Stopped on SIGTERM or Ctrl-C."""
        with asked_to_stop() as stopping:
            told, _, history = whole(self.spec, load(self.spec.data), beside / "unfinished" / self.key, stopping)
        wanted = ("epoch", "seed", "parameters", "lam", "train_loss", "validation_loss", "share", "counts")
        search = [{name: epoch[name] for name in wanted} for epoch in history if epoch["stage"] == "search"]
        return {**self.told, "spec": self.spec.model_dump(mode="json", exclude_defaults=True), **told, "search": search}


def whole(
    spec: SearchSpec, samples: Samples, path: Path, stopping: Any, start: bytes | None = None
) -> tuple[Record, Outcome | None, list[Record]]:
    """Run a search in the folder `path`, which is removed at its end; `start` is a network that it begins from.

    Returns the result (or why it failed), the outcome, and all epochs.
    """
    folder = Folder(path)
    threads = torch.get_num_threads()
    job = Job(search_id="srch_" + "0" * 32, created_at=0.0, spec=spec, threads=threads, checkpoint_s=CHECKPOINT_S)
    folder.create(job)
    if start is not None:
        (folder.path / "start.safetensors").write_bytes(start)
    pipeline = Pipeline(job, folder, samples, lambda _: None, stopping)
    outcome = None
    try:
        outcome = pipeline.run()
        told = results.result(spec, outcome, pipeline.objective.metric)
    except SearchFailed as failure:
        told = {"failed": failure.code, "message": failure.message}
    shutil.rmtree(folder.path)
    return told, outcome, pipeline.now.history


def search(name: str, data: str, task: str, percent: float, told: dict[str, Any], **changes: Any) -> Search:
    """A search of the wide superstructure for `percent` of its parameters."""
    given = {"superstructure": WIDE, "task": TASKS[task], "data": data, "target": {"fraction": percent / 100}}
    given |= {"method": {"lr": 0.003}, **changes}
    return Search(name, SearchSpec.model_validate(given), {"data": data, "task": task, "percent": percent, **told})


def targets() -> Iterator[Search]:
    """Every size on both sets, two seeds."""
    for data in SETS:
        for seed in (1, 2):
            for percent in (1, 2, 5, 10, 20, 50):
                how = {"compare": [], "budget": {"epochs": 2}, "finetune": {"epochs": 2}, "seed": seed}
                yield search(
                    f"targets {data} {percent} %, seed {seed}", data, "denoise", percent, {"part": "targets"}, **how
                )


def traces() -> Iterator[Search]:
    """Long searches of few images, to see what the controller of λ does."""
    for percent in (1, 5, 20):
        how = {"compare": [], "budget": {"epochs": 40}, "finetune": {"epochs": 0}, "seed": 1}
        yield search(f"trace {percent} %", "mnist-5k", "denoise", percent, {"part": "trace"}, **how)


def candidates(percent: float) -> Iterator[Search]:
    """All candidates of a size, for every task on both sets, three seeds."""
    for task in TASKS:
        for data in SETS:
            yield _candidates(data, task, percent, SHORT, "candidates")


def twice(percent: float) -> Iterator[Search]:
    """The same for twice the epochs of fine-tuning, on MNIST, one seed."""
    for task in TASKS:
        yield _candidates("mnist", task, percent, TWICE, "twice", seeds=(1,))


def _candidates(
    data: str, task: str, percent: float, epochs: dict[str, Any], part: str, seeds: tuple[int, ...] = (1, 2, 3)
) -> Search:
    how = {"compare": ALL[task == "classify" :], "seeds": seeds, **epochs}
    return search(f"{part} {data} {task} {percent} %", data, task, percent, {"part": part}, **how)
