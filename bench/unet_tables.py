"""The tables of U-Nets and convolutional networks in docs/results.md, made from the records."""

from collections.abc import Sequence
from typing import Any, Final

from bench import markdown
from bench.records import Record
from bench.unets import given

SHOWN: Final[dict[str, dict[str, str]]] = {"denoise": {"psnr": "dB"}, "segment": {"dice": "Dice", "iou": "IoU"}}


def unets(records: Sequence[Record]) -> str:
    """Every candidate at every size: losses and test metrics as mean ± standard deviation over seeds."""
    rows: list[list[str]] = []
    for task in given():
        for target in task.targets:
            label = [task.name, f"{target:,}"]
            runs = [r for r in records if r.get("part") == "unets" and r["task"] == task.name]
            run = next((r for r in runs if r["parameters"] == target), None)
            if run is None or "failed" in run:
                rows.append([*label, markdown.MISSING if run is None else run["failed"], *[""] * 5])
                continue
            for row in run["candidates"]:
                rows.append(label + _candidate(row, run, SHOWN[task.task["kind"]]))
                label = ["", ""]
    head = ["task", "parameters, at most", "network", "parameters", "MACs", "widths", "validation loss", "test"]
    return markdown.table(head, rows)


PUBLISHED: Final = ("DnCNN, 0.56 million parameters", "30.44 dB, as published")


def denoisers(records: Sequence[Record]) -> str:
    """What others reach on the images and the noise that U-Nets are tested with."""
    seeds = [record["mean"] for record in records if record.get("of") == "bm3d"]
    bm3d = f"{markdown.spread(seeds, '.2f')} dB, {markdown.seeds(len(seeds))}" if seeds else markdown.MISSING
    return markdown.table(["denoiser", "Set12, σ = 25/255"], [["BM3D", bm3d], list(PUBLISHED)])


def pruned(records: Sequence[Record]) -> str:
    """What the pruning library delivers, beside what was found at the same size; mean ± standard deviation."""
    rows: list[list[str]] = []
    for task in given():
        metric, unit = next(iter(SHOWN[task.task["kind"]].items()))
        how = ".2f" if metric == "psnr" else ".3f", unit
        for target in task.targets:
            label = [task.name, f"{target:,}"]
            asked = {"task": task.name, "target": target}.items()
            theirs = [r for r in records if r.get("of") == "pruned" and r.items() >= asked]
            for way in sorted({record["way"] for record in theirs}):
                runs = [record for record in theirs if record["way"] == way]
                done = [record for record in runs if "failed" not in record]
                size, cost = (_range([record[name] for record in done]) for name in ("parameters", "macs"))
                losses = [record["validation"]["loss"] for record in done]
                scores = _scored(losses, [record["test"]["metric"] for record in done], *how)
                rows.append([*label, f"pruned, {way}", size, cost, f"{len(done)} of {len(runs)}", *scores])
            if not theirs:
                continue
            ours = [r for r in records if r.get("part") == "unets" and r["task"] == task.name]
            for row in next((r["candidates"] for r in ours if r["parameters"] == target and "failed" not in r), ()):
                if row["name"] in ("found", "control") and row["trained_in_full"]:
                    seeds = row["seeds"]
                    size = _range([seed["parameters"] for seed in seeds])
                    losses = [seed["validation"]["loss"] for seed in seeds]
                    scores = _scored(losses, [seed["test"][metric] for seed in seeds], *how)
                    rows.append([*label, row["name"], size, f"{row['macs']:,}", str(len(seeds)), *scores])
    head = ["task", "asked for", "network", "parameters", "MACs", "seeds", "validation loss", "test"]
    return markdown.table(head, rows)


def convnets(records: Sequence[Record]) -> str:
    """The authors' convolutional network with whole filters, at a size."""
    runs = [record for record in records if record.get("part") == "convnets" and "failed" not in record]
    rows = []
    for row in (row for run in runs for row in run["candidates"]):
        validation, test = (f"{100 * row[split]['accuracy']:.1f} %" for split in ("validation", "test"))
        name = row["name"] if row["trained_in_full"] else f"{row['name']} (left behind in the race)"
        rows.append([name, markdown.widths(row["widths"]), f"{row['parameters']:,}", validation, test])
    return markdown.table(["network", "filters and neurons", "parameters", "validation", "test"], rows)


def kernels(records: Sequence[Record]) -> str:
    """The authors' convolutional network with their settings, as far as it was trained, beside their figures."""
    ours = [record for record in records if record.get("of") == "published_convnet"]
    rows = [["theirs", "100", "88.0 % (test)", "3.58 %", "3.37 %"]]
    if ours:
        last = max(ours, key=lambda record: record["epoch"])
        shares = [f"{100 * last['shares'][name]:.2f} %" for name in ("kernels", "linear weights")]
        accuracy = f"{100 * last['validation']['metric']:.1f} % (validation)"
        rows.append(["ours, seed 1", str(last["epoch"]), accuracy, *shares])
    return markdown.table(["", "epochs", "accuracy", "kernels left", "linear weights left"], rows)


def _scored(losses: Sequence[float], tests: Sequence[float], form: str, unit: str) -> list[str]:
    if not losses:
        return ["–", "–"]
    return [markdown.spread(losses, ".5f"), f"{markdown.spread(tests, form)} {unit}"]


def _range(values: Sequence[int]) -> str:
    if not values:
        return "–"
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _candidate(row: dict[str, Any], run: Record, shown: dict[str, str]) -> list[str]:
    won = row["name"] == run["winner"]
    name = f"**{row['name']}**" + (" (a tie)" if run["tie"] else "") if won else row["name"]
    of_seeds = [seed["validation"]["loss"] for seed in row["seeds"]]
    tests = []
    for metric, unit in shown.items():
        values = [seed["test"][metric] for seed in row["seeds"]]
        tests.append(f"{markdown.spread(values, '.2f' if metric == 'psnr' else '.3f')} {unit}")
    loss, test = markdown.spread(of_seeds, ".5f"), ", ".join(tests)
    if not row["trained_in_full"]:
        loss, test = f"({loss})", f"({test})"
    widths = markdown.widths(row["widths"])
    return [name, f"{row['parameters']:,}", f"{row['macs'] / 1e6:.0f} M", widths, loss, test]
