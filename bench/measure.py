"""What docs/results.md tells of sizes, candidates, baselines and U-Nets: run what is missing.

    python -m bench.measure [--only TEXT] [--list] [--jobs N] [--threads N] [--data-root FOLDER] [--out FILE]

One JSON line a case, in the file as it comes. What is in the file is not run again; a search that was interrupted goes
on from its checkpoint. The data sets are read from FOLDER (`BREGNAS_DATA` where no folder is given).
`bench.report` makes tables and pictures of the file. Different numbers of threads round differently: the records say
how many there were.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from bench.baselines import baselines, delivered
from bench.front import Front
from bench.machine import description
from bench.pool import Case, run
from bench.published import autoencoders, classifiers, published
from bench.records import read
from bench.sizes import candidates, targets, traces, twice
from bench.unets import convnets, unets

OUT: Final = Path("bench/results/sizes.jsonl")


def cases() -> list[Case]:
    """All of them, what matters most first."""
    fronts = [Front("mnist-5k", "denoise", seed, density) for density in (None, 0.01) for seed in (1, 2)]
    sized = list(candidates())  # six at one size, four more of one task, the rest
    others = [*traces(), *fronts, *published(), *baselines()]
    convolutions = [*unets(), *convnets()]
    first = [*targets(), *others, *sized[:6], *classifiers(), *twice(5), *convolutions, *sized[6:10]]
    return [*first, *autoencoders(), *delivered(), *sized[10:]]


def main() -> int:
    """Run what is missing; returns 0 where all is there then, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="only cases whose name holds this")
    parser.add_argument("--list", action="store_true", help="say what there is and what is missing, and run nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("BREGNAS_DATA"))
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    wanted = [case for case in cases() if given.only in case.name]
    if given.list:
        there = {record["key"] for record in read(given.out)}
        for case in wanted:
            print("measured" if case.key in there else "missing ", case.name)
        return 0
    print(description(), flush=True)
    return 0 if run(wanted, given.out, given.data_root, given.jobs, given.threads) else 1


if __name__ == "__main__":
    sys.exit(main())
