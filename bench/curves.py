"""The pictures of docs/results.md that the records of bench.measure make."""

import math
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

from bench.records import Record
from bench.sizes import SETS, TASKS
from models.budget import GROWTH, start_density
from models.groups import active_counts, sparse_start_
from models.network import Network
from spec import SearchSpec, parameters
from worker.seeds import stream

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COLORS: Final = {
    "found": "C3", "flat": "C0", "geometric": "C1", "random": "C2", "scratch": "C4", "linear": "0.3",
}  # fmt: skip
DEEPEST: Final = 1e4
"""From the top of a picture of losses to its bottom."""


def draw(records: list[Record], folder: Path) -> None:
    """All of them; what has no records yet is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, picture in (("trace", controller), ("candidates", candidates), ("baselines", baselines)):
        of_it = [record for record in records if record.get("part") == part and "failed" not in record]
        if of_it:
            figure = picture(of_it)
            path = folder / f"{part}.png"
            figure.savefig(path, dpi=130)
            plt.close(figure)
            print(path)


def controller(runs: list[Record]) -> Any:
    """Size and λ by epoch; the budget dotted."""
    figure, (sizes, lams) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for k, run in enumerate(sorted(runs, key=lambda run: run["percent"])):
        epochs = [epoch["epoch"] for epoch in run["search"]]
        reached = [epoch["parameters"] for epoch in run["search"]]
        limit, begun, name = run["target"]["limit"], _begun(run), f"{run['percent']} %"
        sizes.plot(epochs, reached, color=f"C{k}", label=name)
        budget = [begun + min(1, epoch / (GROWTH * epochs[-1])) * (limit - begun) for epoch in (0, *epochs)]
        sizes.plot([0, *epochs], budget, color="k", linestyle=":", linewidth=1, zorder=3)
        lams.plot(epochs, [epoch["lam"] for epoch in run["search"]], color=f"C{k}", label=name)
    sizes.set(xlabel="epoch", ylabel="parameters", yscale="log", title="size (dotted: the budget)")
    lams.set(xlabel="epoch", ylabel="λ", yscale="log", title="λ, the largest of any layer")
    sizes.legend(frameon=False)
    for axes in (sizes, lams):
        _plain(axes)
    return figure


def candidates(runs: list[Record]) -> Any:
    """Loss against size, a line a candidate; hollow where it was left behind in the race, bars where seeds differ."""
    figure, rows = plt.subplots(len(TASKS), len(SETS), figsize=(9, 9), layout="constrained", squeeze=False)
    for task, row in zip(TASKS, rows, strict=True):
        for data, axes in zip(SETS, row, strict=True):
            of_it = [run for run in runs if (run["task"], run["data"]) == (task, data)]
            for name, color in COLORS.items():
                _line(axes, sorted(of_it, key=lambda run: run["percent"]), name, color)
            axes.set(title=f"{task}, {data}", xscale="log", yscale="log")
            low, high = axes.get_ylim()
            if low < high / DEEPEST:  # a linear network that holds the identity; the curve leaves the picture
                axes.set_ylim(high / DEEPEST, high)
            axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"], minor=False)
            axes.set_xticks([], minor=True)
            decades = math.log10(axes.get_ylim()[1] / axes.get_ylim()[0])
            axes.yaxis.set_minor_formatter(
                mpl.ticker.FormatStrFormatter("%.3g") if decades < 1.5 else mpl.ticker.NullFormatter()
            )
            axes.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%.3g"))
            axes.tick_params(axis="y", which="both", labelsize=7)
            _plain(axes)
        row[0].set_ylabel("validation loss")
    for axes in rows[-1]:
        axes.set_xlabel("parameters, % of the superstructure")
    handles = [mpl.lines.Line2D([], [], color=color, marker="o", label=name) for name, color in COLORS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(COLORS), frameon=False)
    return figure


def baselines(runs: list[Record]) -> Any:
    """The share of parameters in use by step: first seed."""
    figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
    for k, run in enumerate(run for run in runs if run["spec"]["seed"] == 1):
        epochs = [epoch["epoch"] for epoch in run["search"]]
        shares = [100 * epoch["share"] for epoch in run["search"]]
        label = f"{run['method']}: {run['dense_epochs']:.1f} dense epochs"
        axes.plot(epochs, shares, color=f"C{k}", linestyle="-" if k % 2 else "--", label=label)
    axes.set(xlabel="epoch (36 steps)", ylabel="parameters in use, %", yscale="log")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    _plain(axes)
    return figure


def _begun(run: Record) -> int:
    """Parameters in use at the start of a search on MNIST."""
    spec = SearchSpec.model_validate(run["spec"])
    assert spec.target is not None
    graph = spec.superstructure.graph((1, 28, 28), (1, 28, 28))
    network = Network(graph)
    density = start_density(graph, spec.target, spec.method.density or 1.0)
    sparse_start_(network, density=density, scale=spec.init_scale, generator=stream(spec.seed, "start"))
    return parameters(graph, active_counts(network))


def _line(axes: Axes, runs: list[Record], name: str, color: str) -> None:
    points = [(run["percent"], row) for run in runs for row in run["candidates"] if row["name"] == name]
    if not points:
        return
    sizes, losses = [x for x, _ in points], [row["validation"]["loss"] for _, row in points]
    axes.errorbar(sizes, losses, yerr=[row["spread"] or 0.0 for _, row in points], color=color, linewidth=1, capsize=2)
    for size, row in points:
        face = color if row["trained_in_full"] else "white"
        axes.plot(size, row["validation"]["loss"], "o", color=color, markerfacecolor=face, markersize=5)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
