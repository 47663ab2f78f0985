"""How does a compact step grow with the width, when as many neurons are active? With the width, not with its square.

    python -m bench.compact_growth [--picture FILE] [--out FILE]

Six layers, 40 active neurons in each that is searched; a record a width. The plain step is measured to 1,568.
"""

import argparse
from pathlib import Path
from typing import Final

import torch

from bench.compact_cases import Optimizer, compact, medians, plain
from bench.machine import description
from bench.pictures import growth
from bench.records import Record, append

WIDTHS: Final = (784, 1568, 3136, 6272)
ACTIVE: Final = 40
OPTIMIZERS: Final[tuple[Optimizer, ...]] = ("LinBreg", "AdaBreg")


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--picture", type=Path, default=Path("docs/pictures/compact-growth.png"))
    parser.add_argument("--out", type=Path, default=Path("bench/results/compact-growth.jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.unlink(missing_ok=True)
    records = list[Record]()
    for width in WIDTHS:
        for optimizer in OPTIMIZERS:
            steppers = {"compact": compact(optimizer, ACTIVE, width=width)}
            if width <= WIDTHS[1]:
                steppers["plain"] = plain(optimizer, ACTIVE, width=width)
            took = medians(steppers, 15)
            records.append({"width": width, "optimizer": optimizer, "ms": took, "machine": description()})
            append(given.out, records[-1])
            print(width, optimizer, took, flush=True)
            del steppers
    growth(records, given.picture)


if __name__ == "__main__":
    main()
