"""The table of U-Nets in docs/results.md, made from the records of bench.measure."""

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
