"""What is delivered in the end? The demo's search to its last stage, and the same with prox-Adam from a dense start.

    python -m bench.delivered [--out FILE]

Search, shrink, fine-tune, train the widths from scratch, test; one JSON line a run. What is in the file is not run
again.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

import datasets
from bench.machine import description
from bench.records import Record, append, key, read
from bregnas.demo import SEARCH
from spec import SearchSpec
from worker.failure import SearchFailed
from worker.job import Folder, Job
from worker.outcome import Outcome
from worker.pipeline import Pipeline
from worker.samples import Samples

THREADS = 2
SEEDS: Final = (1, 2, 3)
RIVALS: Final = (0.05, 0.07)  # λ of prox-Adam


def main() -> int:
    """Run what is missing, and print a line a run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("bench/results/delivered.jsonl"))
    out: Path = parser.parse_args().out
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    print(description(), flush=True)
    samples = Samples(datasets.load(SEARCH["data"], None))
    done = {record["key"]: record for record in read(out)}
    for case, spec in _cases():
        record = done.get(key(spec))
        if record is None:
            record = {"case": case, "key": key(spec), "seed": spec.seed} | _run(spec, samples)
            append(out, record)
        print(" | ".join(f"{value}" for name, value in record.items() if name != "key"), flush=True)
    return 0


def _cases() -> Iterator[tuple[str, SearchSpec]]:
    for seed in SEEDS:
        yield "the demo", _spec(seed, {})
    for lam in RIVALS:
        method = {"optimizer": "proxadam", "lr": 1e-3, "lam": lam}
        for seed in SEEDS:
            yield f"prox-Adam, λ {lam:g}", _spec(seed, {"method": method})


def _spec(seed: int, changes: dict[str, Any]) -> SearchSpec:
    return SearchSpec.model_validate({**SEARCH, **changes, "seed": seed})


def _run(spec: SearchSpec, samples: Samples) -> Record:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Folder(Path(scratch))
        job = Job(search_id="srch_" + "0" * 32, created_at=0.0, spec=spec, checkpoint_s=3600.0)
        folder.create(job)
        try:
            outcome = Pipeline(job, folder, samples, lambda _: None, lambda: False).run()
        except SearchFailed as failure:
            return {"failed": failure.code}
    return _told(outcome) | {"seconds": round(time.monotonic() - started, 1)}


def _told(outcome: Outcome) -> Record:
    last = [epoch for epoch in outcome.history if epoch["stage"] == "search"][-1]
    told: Record = {"counts": list(outcome.counts.values()), "parameters": last["parameters"]}
    told["search"] = {"validation": outcome.superstructure.loss, "difference": outcome.difference}
    for candidate in outcome.candidates:
        assert candidate.test is not None
        told[candidate.name] = {
            "validation": candidate.validation.loss,
            "validation_psnr": candidate.validation.metric,
            "test": candidate.test.loss,
            "test_psnr": candidate.test.metric,
        }
    return told | {"winner": outcome.winner.name}


if __name__ == "__main__":
    sys.exit(main())
