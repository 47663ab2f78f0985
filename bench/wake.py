"""Does every search of a U-Net wake up? Twenty seeds at the defaults, and grown from 1 % and 5 % of the channels.

    python -m bench.wake [--seeds N] [--out FILE]

Short searches on the packaged photos, without fine-tuning: what ends as failed, and how many layers ended with a single
channel. One JSON line a search; what is in the file is not run again.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import datasets
from bench import markdown
from bench.machine import description
from bench.records import Record, append, key, read
from bench.sizes import whole
from spec import SearchSpec
from worker.samples import Samples

OUT: Final = Path("bench/results/wake.jsonl")
STARTS: Final[dict[str, dict[str, Any]]] = {
    "defaults": {},
    "admission, r = 0.05": {"selection": "admission", "density": 0.05},
    "admission, r = 0.01": {"selection": "admission", "density": 0.01},
}


def specs(seeds: int) -> Iterator[tuple[str, SearchSpec]]:
    """Every start with every seed."""
    for start, method in STARTS.items():
        for seed in range(1, seeds + 1):
            given = {
                "superstructure": {"kind": "unet", "levels": 3, "base": 16, "residual": True},
                "task": {"kind": "denoise", "sigma": 0.1},
                "data": "photos",
                "target": {"parameters": 10_000},
                "method": {"lr": 0.002, **method},
                "budget": {"epochs": 2, "batch_size": 4, "crop": 24, "crops_per_image": 20},
                "finetune": {"epochs": 0},
                "compare": [],
                "seed": seed,
            }
            yield start, SearchSpec.model_validate(given)


def waking(records: Sequence[Record]) -> str:
    """A line for every start."""
    rows = []
    for start in STARTS:
        of_it = [record for record in records if record.get("start") == start]
        if not of_it:
            rows.append([start, markdown.MISSING, "", "", "", ""])
            continue
        done = [record for record in of_it if not record["failed"]]
        met = sum(0.98 <= record["target"]["share"] <= 1 for record in done)
        better = sum(record["validation"]["loss"] < record["unchanged"]["loss"] for record in done)
        single = sum(width == 1 for record in done for width in record["widths"].values())
        rows.append([start, *map(str, (len(of_it), len(of_it) - len(done), met, better, single))])
    head = ["start", "searches", "failed", "at the size", "better than the noisy image", "layers of one channel"]
    return markdown.table(head, rows)


def main() -> None:
    """Run what is missing, and print a line for every start."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    samples = Samples(datasets.load("photos", None))
    for start, spec in specs(given.seeds):
        if any(record["key"] == key(spec) for record in read(given.out)):
            continue
        with tempfile.TemporaryDirectory() as folder:
            told, _, _ = whole(spec, samples, Path(folder) / "search", lambda: False)
        kept = {name: told.get(name) for name in ("failed", "widths", "target")}
        record = {"key": key(spec), "start": start, "seed": spec.seed, **kept, "machine": description()}
        if "shrunk" in told:
            record |= {"validation": told["shrunk"]["validation"], "unchanged": told["unchanged"]["validation"]}
        append(given.out, record)
    print(waking(read(given.out)))


if __name__ == "__main__":
    main()
