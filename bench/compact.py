"""What compact steps take, against plain ones that are written well: ratios of medians, interleaved in one process.

    python -m bench.compact [--only PART] [--rounds N] [--epochs N] [--data NAME] [--images NAME]
        [--out FOLDER]

Prints tables and ends with one line of JSON; the tables go to FOLDER too, by date, with the machine they are of. One
thread, and CPU time, so that what else the machine does counts little. A data set that comes with no package is read
from BREGNAS_DATA.
"""

import argparse
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from bench import unet_steps
from bench.compact_cases import Optimizer, compact, dense, medians, peak_bytes, plain
from bench.compact_search import METHODS, arithmetic, asked, candidate, load, search
from bench.machine import description
from bench.markdown import table, widths
from bench.records import Record

OPTIMIZERS: Final[tuple[Optimizer, ...]] = ("LinBreg", "LinBreg, momentum", "AdaBreg")
SHARES: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
ROUNDS: Final = {0.05: 15, 0.1: 15, 0.2: 13, 0.5: 9, 1.0: 9}


def mlp(given: argparse.Namespace) -> tuple[Record, str]:
    """Steps of six times 784 at a share of active neurons. In the record the lowest ratio of the optimisers."""
    rows, least = [], dict[str, float]()
    for grouped in (True, False):
        for share in SHARES:
            for optimizer in OPTIMIZERS:
                steppers = {
                    "plain": plain(optimizer, share, group_head=grouped),
                    "compact": compact(optimizer, share, group_head=grouped),
                    "dense": dense(optimizer, group_head=grouped),
                }
                took = medians(steppers, given.rounds or ROUNDS[share])
                ratio = took["plain"] / took["compact"]
                if grouped:
                    least[str(share)] = min(round(ratio, 2), least.get(str(share), ratio))
                head = "grouped" if grouped else "free"
                times = [f"{took[name]:.2f}" for name in ("plain", "dense", "compact")]
                rows.append(
                    [head, f"{share:.0%}", optimizer, *times, f"{ratio:.1f}", f"{took['dense'] / took['compact']:.2f}"]
                )
                print(*rows[-1], flush=True)
    head = [
        "head",
        "active",
        "optimiser",
        "plain, ms",
        "torch dense, ms",
        "compact, ms",
        "plain/compact",
        "dense/compact",
    ]
    return {"plain_over_compact": least}, table(head, rows)


def memory(given: argparse.Namespace) -> tuple[Record, str]:
    """Bytes of tensors at 5 % active, the most at any time of a step."""
    rows, shares = [], {}
    for optimizer in OPTIMIZERS:
        ours, theirs = (peak_bytes(lambda o=optimizer, m=make: m(o, 0.05)) for make in (compact, plain))
        shares[optimizer] = round(ours / theirs, 3)
        rows.append([optimizer, f"{theirs / 1e6:.1f}", f"{ours / 1e6:.1f}", f"{ours / theirs:.1%}"])
    return {"compact_over_plain": shares}, table(["optimiser", "plain, MB", "compact, MB", "compact/plain"], rows)


def searches(given: argparse.Namespace) -> tuple[Record, str]:
    """A whole search, its last architecture, and what it costs in trainings of the network that it found."""
    samples, rows, record = load(given.data), [], {}
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first optimiser of a process loads much of torch
    for method in METHODS:
        spec = asked(method, given.data, given.epochs)
        ours, theirs = (search(spec, samples, plain=steps) for steps in (False, True))
        alone_cpu, alone_wall = candidate(spec, samples, ours.epochs[-1].counts)
        mean, of_candidate = arithmetic(ours.epochs, samples.train.x[0].numel(), spec.budget.batch_size)
        record[method] = {
            "plain_over_compact": round(theirs.cpu_s / ours.cpu_s, 2),
            "plain_over_compact_wall": round(theirs.wall_s / ours.wall_s, 2),
            "same_widths": ours.counts == theirs.counts,
            "trainings": round(ours.cpu_s / alone_cpu, 2),
            "trainings_wall": round(ours.wall_s / alone_wall, 2),
            "trainings_arithmetic": round(mean / of_candidate, 2),
        }
        for name, each in (("compact", ours), ("plain", theirs)):
            last = each.epochs[-1]
            found = [widths(each.counts), f"{last.train_loss:.6f}", f"{last.share or 0:.1%}"]
            rows.append([method, name, f"{each.cpu_s:.1f}", f"{each.wall_s:.1f}", *found])
            print(*rows[-1], flush=True)
        print(method, record[method], flush=True)
    head = ["optimiser", "steps", "CPU, s", "wall, s", "widths", "training loss", "parameters in use in the last epoch"]
    told = next(iter(record.values()))["plain_over_compact"]
    return {"plain_over_compact": told, "data": given.data, "epochs": given.epochs, **record}, table(head, rows)


PARTS: Final[dict[str, Callable[[argparse.Namespace], tuple[Record, str]]]] = {
    "mlp": mlp,
    "memory": memory,
    "search": searches,
    "unet": unet_steps.steps,
    "unet-search": unet_steps.whole,
}
"""What is measured, by its key in the record: each gives its record and its table."""


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    parser.add_argument("--rounds", type=int, help="of interleaved steps; by the share that is active where not given")
    parser.add_argument("--epochs", type=int, default=12, help="of the whole search")
    parser.add_argument("--data", default="mnist-5k", help="of the whole search")
    parser.add_argument("--images", default="photos", help="of the whole search in a U-Net")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    machine = {**description(), "threads": 1}
    record: dict[str, Any] = {}
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = f"# Compact steps, {day}\n\n{', '.join(f'{name} {value}' for name, value in machine.items())}\n"
    for name, measure in PARTS.items():
        if given.only in (None, name):
            record[name], made = measure(given)
            print(f"\n{made}", flush=True)
            text += f"\n## {name}\n\n{made}"
    line = json.dumps(
        {**record, "device": f"cpu: {machine['processor']}, {machine['threads']} thread", "machine": machine}
    )
    given.out.mkdir(parents=True, exist_ok=True)
    part = f"-{given.only}" if given.only else ""
    (given.out / f"compact-{day}{part}.md").write_text(f"{text}\n```json\n{line}\n```\n")
    print(line)


if __name__ == "__main__":
    main()
