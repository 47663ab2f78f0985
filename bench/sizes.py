"""Sizes on request, candidates of equal size, one run's front: whole searches, on real data.

    python -m bench.sizes [--only TEXT] [--data-root FOLDER] [--out FILE]

One JSON line a search. What is in the file is not run again; a search that was interrupted goes on from its checkpoint.
MNIST and Fashion-MNIST are read from FOLDER (`BREGNAS_DATA` where no folder is given). `bench.report` makes the page.
"""

import argparse
import functools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

import datasets
from bench.machine import description
from bench.records import Record, append, key, read
from bench.search import CHECKPOINT_S, asked_to_stop
from spec import SearchSpec
from worker import results
from worker.failure import SearchFailed, Stopped
from worker.job import Folder, Job
from worker.pipeline import Pipeline
from worker.samples import Samples

THREADS: Final = 2
WIDE: Final = {"kind": "mlp", "widths": [784] * 5}
DENOISE: Final = {"kind": "denoise", "sigma": 0.3}
ALL: Final = ["linear", "flat", "scaled", "geometric", "random", "scratch"]


def main() -> int:
    """Run what is missing; returns 0 when all is there, 75 where it was asked to stop."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="only cases whose name holds this")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("BREGNAS_DATA"))
    parser.add_argument("--out", type=Path, default=Path("bench/results/sizes.jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    print(description(), flush=True)
    done = {record["key"] for record in read(given.out)}
    load = functools.lru_cache(1)(lambda name: Samples(datasets.load(name, given.data_root)))
    try:
        for case, spec in cases():
            if given.only in case and key(spec) not in done:
                record = {"case": case, "key": key(spec)} | run(spec, load(spec.data), given.out.parent)
                append(given.out, record | {"machine": description()})
                print(case, {name: record.get(name) for name in ("target", "winner", "failed")}, flush=True)
    except Stopped:
        return 75
    return 0


def cases() -> Iterator[tuple[str, SearchSpec]]:
    """Every search, the quick ones first."""
    for data in ("mnist", "fashion-mnist"):
        for seed in (1, 2):
            for percent in (1, 2, 5, 10, 20, 50):
                yield (
                    f"targets {data} {percent} %",
                    _spec(
                        data,
                        DENOISE,
                        percent,
                        seed,
                        {"compare": [], "budget": {"epochs": 4}, "finetune": {"epochs": 2}},
                    ),
                )
    for data in ("mnist-5k", "mnist", "fashion-mnist"):
        for task in (DENOISE, {"kind": "autoencode"}, {"kind": "classify"}):
            compare = ALL[1:] if task["kind"] == "classify" else ALL
            for percent in (1, 2, 5, 10, 20):
                how = {"compare": compare, "budget": {"epochs": 15}, "finetune": {"epochs": 25}, "seeds": [1, 2, 3]}
                yield f"candidates {data} {task['kind']} {percent} %", _spec(data, task, percent, None, how)


def _spec(data: str, task: dict[str, Any], percent: float, seed: int | None, changes: dict[str, Any]) -> SearchSpec:
    given = {
        "superstructure": WIDE, "task": task, "data": data, "target": {"fraction": percent / 100},
        "method": {"lr": 0.003}, **changes,
    }  # fmt: skip
    return SearchSpec.model_validate(given if seed is None else {**given, "seed": seed})


def run(spec: SearchSpec, samples: Samples, beside: Path) -> Record:
    """A whole search; its result, and how size, λ and loss went by epoch. Raises Stopped on SIGTERM or Ctrl-C."""
    folder = Folder(beside / "unfinished" / key(spec))
    job = Job(search_id="srch_" + "0" * 32, created_at=0.0, spec=spec, threads=THREADS, checkpoint_s=CHECKPOINT_S)
    folder.create(job)
    with asked_to_stop() as stopping:
        try:
            pipeline = Pipeline(job, folder, samples, lambda _: None, stopping)
            told = results.result(spec, pipeline.run(), pipeline.objective.metric)
        except SearchFailed as failure:
            told = {"failed": failure.code, "message": failure.message}
    shutil.rmtree(folder.path)
    wanted = ("epoch", "seed", "parameters", "macs", "lam", "validation_loss", "share", "counts")
    history = [{name: epoch[name] for name in wanted} for epoch in pipeline.now.history if epoch["stage"] == "search"]
    return {"spec": spec.model_dump(mode="json", exclude_defaults=True), **told, "search": history}


if __name__ == "__main__":
    sys.exit(main())
