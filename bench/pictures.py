"""Pictures for docs/results.md, from the records of bench.autoencoders.

python -m bench.pictures [--records FILE] [--folder FOLDER]
"""

import argparse
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

from bench.records import Record, read

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

WIDTH: Final = 784
# The same case and seed may stand in the file for several numbers of epochs: the longest is drawn.
EMERGING: Final = [
    ("mnist, published", 1, "published settings\nMNIST, 57,000 images"),
    ("mnist, ours", 1, "our form, λ 0.04\nMNIST, 57,000 images"),
    ("mnist-5k, published", 1, "published settings\n4,500 images"),
    ("mnist-5k, ours", 1, "our form, λ 0.04\n4,500 images"),
    ("mnist-5k, demo", 3, "the demo's settings\n4,500 images"),
]
RIVALS: Final = ["mnist-5k, prox-Adam", "mnist-5k, ProxSGD"]


def longest(records: list[Record], case: str, seed: int) -> list[Record]:
    """The epochs of the longest run of a case and seed, in order; empty where there is none."""
    wanted = [r for r in records if r["case"] == case and r["seed"] == seed and "epoch" in r]
    runs = [list(run) for _, run in groupby(sorted(wanted, key=lambda r: (r["key"], r["epoch"])), lambda r: r["key"])]
    return max(runs, key=len, default=[])


def emerging(records: list[Record], path: Path) -> None:
    """A panel a search: layers along x, active neurons along y, a line an epoch, the first light, the last dark."""
    figure, panels = _figure(len(EMERGING))
    for axes, (case, seed, title) in zip(panels, EMERGING, strict=True):
        run = longest(records, case, seed)
        for k, record in enumerate(run):
            share = k / max(1, len(run) - 1)
            _line(axes, record, color=mpl.colormaps["Blues"](0.2 + 0.8 * share), linewidth=0.8 + share)
        axes.set_title(f"{title}, {len(run)} epochs", fontsize=9)
    _save(figure, path)


def rivals(records: list[Record], path: Path) -> None:
    """A panel a proximal method: a line a λ, after the last epoch."""
    figure, panels = _figure(len(RIVALS), width=4.5)
    for axes, method in zip(panels, RIVALS, strict=True):
        cases = sorted({r["case"] for r in records if r["case"].startswith(method)}, key=_lam)
        for k, case in enumerate(cases):
            run = longest(records, case, 1)
            if run:
                color = mpl.colormaps["viridis"](k / max(1, len(cases)))
                _line(axes, run[-1], color=color, linewidth=1.5, label=f"λ {_lam(case):g}, epoch {run[-1]['epoch']}")
        axes.set_title(f"{method.partition(', ')[2]} from a dense start\n4,500 images", fontsize=9)
        if axes.lines:
            axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    _save(figure, path)


def growth(records: list[Record], path: Path) -> None:
    """Time of a step by the width: compact steps at the same number of active neurons, and plain ones."""
    figure, axes = plt.subplots(figsize=(4.5, 3), layout="constrained")
    for color, optimizer in zip(("tab:blue", "tab:orange"), ("LinBreg", "AdaBreg"), strict=True):
        for style, steps in (("-", "compact"), (":", "plain")):
            points = [(r["width"], r["ms"][steps]) for r in records if r["optimizer"] == optimizer and steps in r["ms"]]
            axes.plot(*zip(*points, strict=True), style, marker="o", color=color, label=f"{optimizer}, {steps}")
    axes.set(xlabel="width of the hidden layers", ylabel="ms a step", xscale="log", yscale="log")
    axes.set_xticks(sorted({r["width"] for r in records}), [str(w) for w in sorted({r["width"] for r in records})])
    axes.minorticks_off()
    axes.set_yticks([1, 10, 100], ["1", "10", "100"])
    axes.set_title("six layers, 40 active neurons in each", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7)
    _save(figure, path)


def _figure(panels: int, width: float = 3.0) -> tuple[Any, list[Axes]]:
    figure, row = plt.subplots(1, panels, figsize=(width * panels, 3), sharey=True, layout="constrained")
    for axes in row:
        axes.axhline(WIDTH, color="0.6", linestyle="--", linewidth=0.8)
        axes.set(xlabel="layer", ylim=(0, 820))
        axes.spines[["top", "right"]].set_visible(False)
    row[0].set_ylabel("active neurons")
    return figure, list(row)


def _line(axes: Axes, record: Record, **style: Any) -> None:
    counts = list(record["counts"].values())
    axes.plot(range(1, len(counts) + 1), counts, **style)


def _lam(case: str) -> float:
    return float(case.rpartition("λ ")[2])


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    print(path)


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=Path, default=Path("bench/results/autoencoders.jsonl"))
    parser.add_argument("--folder", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    records = read(options.records)
    emerging(records, options.folder / "hour-glass.png")
    rivals(records, options.folder / "hour-glass-rivals.png")


if __name__ == "__main__":
    main()
