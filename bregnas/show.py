"""How searches and what they found look in a terminal. What a service says is shown, never obeyed (`plain`)."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from bregnas import documents
from bregnas.documents import SearchDocument
from bregnas.emerging import bars, eta
from bregnas.plain import cell, plain

_NAMES = {
    "found": "found, trained on",
    "scratch": "found widths, from scratch",
    "flat": "equal widths",
    "scaled": "superstructure, scaled",
    "ratio": "one ratio from level to level",
    "random": "random widths",
    "control": "equal widths, search's training",
    "linear": "best linear, closed form",
}
_LINES = 30
_ID = 37  # characters


def search(console: Console, found: SearchDocument) -> None:
    """A search: how far it is, or what it found, or why it failed."""
    console.print(cell(f"{found.id}  {found.status}" + (f"  {found.name}" if found.name else "")))
    if found.error is not None:
        console.print(cell(f"{found.error.code}: {found.error.message}"), soft_wrap=True)
    if found.result is None:
        if found.progress.stage:
            progress = found.progress
            console.print(cell(f"{progress.stage} {progress.epoch}/{progress.epochs}{eta(progress)}"))
        console.print(bars(found))
        return
    result = found.result
    widths = " – ".join(plain(width) for width in result["widths"].values())
    console.print(cell(f"widths found  {widths}"), soft_wrap=True)
    console.print(_stations(result))
    console.print(cell(verdict(result)), soft_wrap=True)
    for note in result.get("notes") or ():
        console.print(cell(f"note: {note}"), soft_wrap=True)


def _stations(result: dict[str, Any]) -> Table:
    """Sizes and errors of every network that took part."""
    stations = [("the input, unchanged", result["unchanged"])] if result.get("unchanged") else []
    if result["superstructure"].get("validation"):
        stations += [
            ("superstructure, after the search", result["superstructure"]),
            ("the same, shrunk", result["shrunk"]),
        ]
    stations += [(_name(one, result["winner"]), one) for one in result["candidates"]]
    metric = next((key for key in result["candidates"][0]["validation"] if key != "loss"), None)
    said = (metric or "").upper() if metric in ("psnr", "iou", "mse") else (metric or "")
    table = Table("network", title="what was found")
    for head in ("parameters", "MACs", "validation loss", *([said] if metric else []), "test loss"):
        table.add_column(cell(head), justify="right", no_wrap=True)
    for name, at in stations:
        validation, test = at["validation"], at.get("test")
        table.add_row(
            cell(name),
            f"{at['parameters']:,}" if "parameters" in at else "",
            f"{at['macs']:,}" if "macs" in at else "",
            f"{validation['loss']:.5f}",
            *([f"{validation[metric]:.2f}" if metric == "psnr" else f"{validation[metric]:.4f}"] if metric else []),
            f"{test['loss']:.5f}" if test else "",
        )
    return table


def verdict(result: dict[str, Any]) -> str:
    """Who won, and by how much."""
    if result["second"] is None:
        return "Nothing was trained beside it."
    names = [_NAMES.get(result[which], result[which]) for which in ("winner", "second")]
    said = f"By validation the winner is: {names[0]}; {names[1]} is {result['margin'] or 0:.0%} behind."
    return said + " (a tie: closer than the seeds lie apart)" * bool(result.get("tie"))


def estimate(console: Console, found: documents.Estimate) -> None:
    """What a search would amount to."""
    rows = Table.grid(padding=(0, 2))
    rows.add_row("superstructure", f"{found.parameters:,} parameters, {found.macs:,} MACs")
    if found.target is not None:
        rows.add_row("target", f"{found.target:,}")
    for measure, sizes in found.possible.items():
        rows.add_row(cell(f"possible {measure}"), f"{sizes.smallest:,} to {sizes.largest:,}")
    rows.add_row("memory", f"{found.memory_bytes / 2**30:.2f} of {found.memory_limit_bytes / 2**30:.1f} GiB")
    epochs = found.epochs
    rows.add_row("epochs", f"{epochs.search} search, {epochs.finetune} fine-tuning, {epochs.compare} comparison")
    rows.add_row("time, a guess", f"{found.seconds_guess:,.0f} s on two cores")
    console.print(rows)


def searches(console: Console, found: Sequence[SearchDocument]) -> None:
    """A line a search."""
    table = Table(_id("id"), "status", "net", "task", "data", "parameters", "loss", "name", box=None)
    for one in found:
        spec, loss = one.spec, one.losses.validation
        if one.result:
            loss = next((c["validation"]["loss"] for c in one.result["candidates"]), loss)
        table.add_row(
            cell(one.id),
            cell(one.status if one.error is None else f"{one.status}: {one.error.code}"),
            cell(spec.get("superstructure", {}).get("kind")),
            cell(spec.get("task", {}).get("kind")),
            cell(_shortened(spec.get("data"))),
            "" if one.parameters is None else f"{one.parameters:,}",
            "" if loss is None else f"{loss:.5f}",
            cell(one.name),
        )
    if found:
        console.print(table)


def history(console: Console, found: documents.History) -> None:
    """A line an epoch, at most a screen of them."""
    table = Table("stage", "epoch", "loss", box=None)
    for layer in found.layers:
        if layer.searched:
            table.add_column(cell(layer.name))
    rows = range(len(found.epochs))
    step = max(1, -(-len(rows) // _LINES))
    for row in rows:
        if row % step == 0 or row == len(rows) - 1:
            loss = found.validation_loss[row]
            active = [layer.active[row] for layer in found.layers if layer.searched]
            table.add_row(
                cell(found.stages[row]),
                str(found.epochs[row]),
                "" if loss is None else f"{loss:.5f}",
                *map(cell, active),
            )
    console.print(table)


def front(console: Console, path: Sequence[documents.PathEntry]) -> None:
    """A line a size."""
    if not path:
        return
    table = Table("k", "parameters", "MACs", "loss", "epoch", "widths", box=None)
    for one in path:
        widths = "–".join(map(str, one.widths))
        table.add_row(
            str(one.k), f"{one.parameters:,}", f"{one.macs:,}", f"{one.validation['loss']:.5f}", str(one.epoch), widths
        )
    console.print(table)


def architectures(console: Console, found: Sequence[documents.Architecture]) -> None:
    """A line an architecture."""
    if not found:
        return
    table = Table(_id("search"), "candidate", "net", "task", "data", "parameters", "loss", "shape", "widths", box=None)
    for one in found:
        table.add_row(
            cell(one.search_id),
            cell(one.candidate + (" (won)" if one.won else "")),
            cell(one.superstructure),
            cell(one.task),
            cell(_shortened(one.data)),
            f"{one.parameters:,}",
            f"{one.loss:.5f}",
            cell(one.shape),
            "–".join(map(str, one.widths)),
        )
    console.print(table)


def datasets(console: Console, found: Sequence[documents.DataSet]) -> None:
    """A line a data set."""
    table = Table(_id("search names it"), "samples", "shape", "holds", box=None)
    for one in found:
        holds = one.reason if not one.available else one.name if one.id else (one.source or "")
        shape = "×".join(map(str, one.shape or ()))
        table.add_row(cell(one.reference), "" if one.count is None else f"{one.count:,}", shape, cell(holds))
    console.print(table)


def dataset(console: Console, one: documents.DataSet) -> None:
    """What is known of a data set."""
    rows = Table.grid(padding=(0, 2))
    for name in (
        "id",
        "name",
        "reason",
        "kind",
        "shape",
        "sizes",
        "count",
        "splits",
        "classes",
        "targets",
        "pairs",
        "source",
    ):
        value = getattr(one, name)
        if value is not None:
            rows.add_row(name, cell(value))
    for warning in one.warnings:
        rows.add_row("warning", cell(warning))
    console.print(rows)


def differences(first: Any, second: Any, path: str = "") -> dict[str, list[Any]]:
    """Where two specifications differ, by the paths of their fields."""
    if isinstance(first, dict) and isinstance(second, dict):
        found: dict[str, list[Any]] = {}
        for name in sorted(set(first) | set(second)):
            inner = f"{path}.{name}" if path else name
            found |= differences(first.get(name), second.get(name), inner)
        return found
    return {} if first == second else {path: [first, second]}


def merged(mine: Any, typed: Any) -> Any:
    """A part of a specification with what was typed put into it; a target, or another kind, is taken whole."""
    if not isinstance(mine, dict) or not isinstance(typed, dict):
        return typed
    if "kind" in typed and typed["kind"] != mine.get("kind"):
        return typed
    kept = {name: value for name, value in mine.items() if value is not None}
    if "optimizer" not in kept and "kind" not in kept and set(kept) <= {"parameters", "macs", "fraction", "neurons"}:
        return typed
    return kept | {name: merged(kept.get(name), value) for name, value in typed.items()}


def comparison(console: Console, first: SearchDocument, second: SearchDocument) -> None:
    """Two searches side by side."""
    table = Table("", box=None)
    for one in (first, second):
        table.add_column(cell(f"…{one.id[-8:]}"))
    for path, (mine, other) in differences(first.spec, second.spec).items():
        table.add_row(cell(path), cell(mine), cell(other))
    both = (first, second)
    table.add_row("status", *(cell(one.status) for one in both))
    results = [one.result for one in both]
    if all(results):
        table.add_row("widths", *(cell("–".join(map(str, r["widths"].values()))) for r in results if r))
        for name in ("winner", "found"):
            rows = [
                next((c for c in r["candidates"] if c["name"] == (r["winner"] if name == "winner" else name)), None)
                for r in results
                if r
            ]
            table.add_row(f"{name}", *(cell(_measured(row)) for row in rows))
    console.print(table)


def _measured(row: dict[str, Any] | None) -> str:
    return (
        "" if row is None else f"{row['name']}: {row['parameters']:,} parameters, loss {row['validation']['loss']:.5f}"
    )


def _id(head: str) -> Column:
    """A column of ids, which are there to be copied: none is cut."""
    return Column(head, no_wrap=True, min_width=_ID)


def _shortened(data: Any) -> str:
    return f"dset_…{data[-8:]}" if isinstance(data, str) and data.startswith("dset_") else str(data)


def _name(candidate: dict[str, Any], winner: str) -> str:
    name = _NAMES.get(candidate["name"], candidate["name"])
    name += f" ({'–'.join(map(str, candidate['widths']))})" if candidate["widths"] else ""
    return f"{name}, the winner" if candidate["name"] == winner else name
