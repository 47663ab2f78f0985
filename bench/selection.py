"""What could make selection win? Ways to search a denoising U-Net, on seeds that chose none of them.

    python -m bench.selection --data-root FOLDER [--seed 4 5] [--target 10000] [--out FILE]

One JSON line a search; what is in the file is not run again.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import torch

import datasets
from bench import markdown
from bench.machine import description
from bench.records import Record, append, key, read
from bench.sizes import whole
from bench.unets import EPOCHS, given
from models import swaps
from spec import SIZES, Graph, SearchSpec
from spec.rivals import rivals
from worker.samples import Samples

OUT: Final = Path("bench/results/selection.jsonl")
LONGER: Final = 3
RATIO: Final = "ratio-0.6"
WAYS: Final[dict[str, dict[str, Any]]] = {
    "swaps": {},
    f"swaps, begun at {RATIO}": {},
    "admission": {"method": {"lr": 0.002, "selection": "admission"}},
    f"swaps, {LONGER} times the steps": {
        name: {"epochs": LONGER * stage["epochs"]} for name, stage in EPOCHS.items()
    },
}  # fmt: skip
"""What is changed, by the name of the way."""


def specs(target: int, seeds: Sequence[int]) -> Iterator[tuple[str, SearchSpec]]:
    """Every way with every seed; a control where swaps begin with equal widths."""
    task = given()[0]
    for way, changes in WAYS.items():
        for seed in seeds:
            spec = task.spec(target, (seed,)).model_dump(exclude_none=True)
            alone = RATIO in way or "method" in changes
            for name, change in changes.items():
                spec[name] = {**spec[name], **change} if name != "method" else change
            yield way, SearchSpec.model_validate({**spec, "compare": [] if alone else ["control"]})


@contextmanager
def begun_at(spec: SearchSpec, name: str) -> Iterator[None]:
    """Swaps begin at this rival's widths in place of equal ones."""
    before: Callable[..., list[int]] = swaps.flat_widths

    def widths(graph: Graph, size: Any, limit: int) -> list[int]:
        shapes = graph.input_shape, graph.output_shape
        found = rivals("ratio", spec.superstructure, *shapes, SIZES["parameters"], limit, seed=1)
        (shape,) = (rival.graph for rival in found if rival.name == name)
        return [min(shape[names[0]].width, graph[names[0]].width) for names in graph.index_sets()]

    swaps.flat_widths = widths
    try:
        yield
    finally:
        swaps.flat_widths = before


def selections(records: Sequence[Record]) -> str:
    """A line for every way and network: mean ± standard deviation over seeds."""
    rows: list[list[str]] = []
    for way in WAYS:
        done = [r for r in records if r.get("of", OUT.stem) == OUT.stem and r.get("way") == way and "failed" not in r]
        for name in ("found", "control"):
            of_it = [network for record in done for network in record["networks"] if network["name"] == name]
            if of_it:
                losses, psnr = ([n["validation"]["loss"] for n in of_it], [n["test"]["psnr"] for n in of_it])
                size, cost = (sorted(n[of] for n in of_it) for of in ("parameters", "macs"))
                rows.append([
                    way, name, f"{len(of_it)}", f"{size[0]:,} to {size[-1]:,}",
                    f"{cost[0] / 1e6:.0f} to {cost[-1] / 1e6:.0f} M", markdown.spread(losses, ".5f"),
                    f"{markdown.spread(psnr, '.2f')} dB",
                ])  # fmt: skip
        if not done:
            rows.append([way, markdown.MISSING, *[""] * 5])
    return markdown.table(["way", "network", "seeds", "parameters", "MACs", "validation loss", "test"], rows)


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--seed", type=int, nargs="+", default=[4, 5])
    parser.add_argument("--target", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    samples = Samples(datasets.load(given()[0].data, asked.data_root))
    for way, spec in specs(asked.target, asked.seed):
        name = f"{way} {key(spec)}"
        if any(record["key"] == name for record in read(asked.out)):
            continue
        start = begun_at(spec, RATIO) if RATIO in way else nullcontext()
        with tempfile.TemporaryDirectory() as folder, start:
            told, _, _ = whole(spec, samples, Path(folder) / "search", lambda: False)
        record: Record = {"key": name, "way": way, "target": asked.target, "machine": description()}
        networks = [
            {**{of: row[of] for of in ("name", "parameters", "macs", "widths")}, **row["seeds"][0]}
            for row in told.get("candidates", [])
        ]
        append(asked.out, record | {"networks": networks, **{k: told[k] for k in ("failed",) if k in told}})
        print(way, [(n["name"], n["validation"]["loss"]) for n in networks], flush=True)
    print(selections(read(asked.out)))


if __name__ == "__main__":
    main()
