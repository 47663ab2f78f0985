"""How a search looks in a terminal: the progress, the layers as bars, the result, and an image or two."""

from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_STAGES = {
    "search": "searching",
    "finetune": "training on, shrunk",
    "compare": "networks that nobody searched for, of that size",
    "export": "exporting",
}
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
_BAR = 56
_SHADES = " ·░▒▓█"


class Emerging:
    """The active neurons of every layer while they emerge; plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._said: tuple[Any, ...] = ()

    def __enter__(self) -> "Emerging":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, search: dict[str, Any]) -> None:
        """Show the newest state of the search."""
        if self._live is not None:
            self._live.update(self._drawing(search))
            return
        progress = search["progress"]
        said = (search["status"], progress["stage"], progress["epoch"])
        if said != self._said and progress["stage"]:
            self._said = said
            counts = " ".join(f"{layer['active'] or 0:4d}" for layer in search["layers"])
            loss = search["losses"]["validation"]
            self.console.print(
                f"{progress['stage']:>8} {progress['epoch'] or 0:3d}/{progress['epochs'] or 0:<3d} [{counts}]"
                + (f" loss {loss:.4f}" if loss is not None else "")
                + _eta(progress),
                markup=False,
                highlight=False,
            )

    def _drawing(self, search: dict[str, Any]) -> Group:
        progress = search["progress"]
        stage, epoch = progress["stage"], progress["epoch"] or 0
        table = Table.grid(padding=(0, 2))
        for layer in search["layers"]:
            active = layer["active"] or 0
            filled = round(_BAR * active / layer["width"])
            centred = Text(("█" * max(filled, 1 if active else 0)).center(_BAR), style="blue")
            table.add_row(layer["name"], centred, f"{active:4d} of {layer['width']}")
        total = progress["epochs"] or 1
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=total, completed=epoch, width=_BAR),
            f"{epoch * 100 // total} %{_eta(progress)}",
        )
        counter = f" {epoch}/{progress['epochs']}" if progress["epochs"] else ""
        return Group(f"{_STAGES.get(stage or '', search['status'])}{counter}", head, table)


def summary(console: Console, search: dict[str, Any], ran: dict[str, Any]) -> None:
    """The result in a table: sizes before and after, and the error at every station."""
    result = search["result"]
    full, shrunk = result["superstructure"], result["shrunk"]
    table = Table("network", "parameters", "MACs", "validation MSE", "PSNR", "test MSE", title="what was found")
    stations = [("the input, unchanged", result["unchanged"])] if result["unchanged"] else []
    stations += [("superstructure, after the search", full), ("the same, shrunk", shrunk)]
    stations += [(_name(c, result["winner"]), c) for c in result["candidates"]]
    for name, at in stations:
        test = at.get("test")
        table.add_row(
            name,
            f"{at.get('parameters', 0):,}",
            f"{at.get('macs', 0):,}",
            f"{at['validation']['loss']:.5f}",
            f"{at['validation']['psnr']:.2f}",
            f"{test['loss']:.5f}" if test else "",
        )
    console.print()
    console.print(f"widths found  {' – '.join(str(w) for w in result['widths'].values())}", highlight=False)
    console.print(
        f"parameters    {full['parameters']:,} before, {shrunk['parameters']:,} after; shrinking changed no output by "
        f"more than {result['difference']:.1e}",
        highlight=False,
    )
    console.print(table)
    console.print(_verdict(result), highlight=False)
    console.print(f"PSNR of {ran['psnr_in']:.2f} dB in, {ran['psnr_out']:.2f} dB out on the samples in the bundle")


def pictures(console: Console, example: dict[str, list[list[float]]]) -> None:
    """Grey images side by side, two rows of pixels a line."""
    names = list(example)
    columns = len(example[names[0]][0])
    console.print("  ".join(name.center(columns) for name in names), highlight=False)
    for row in range(0, len(example[names[0]]), 2):
        line = []
        for name in names:
            upper, lower = example[name][row], example[name][min(row + 1, len(example[name]) - 1)]
            line.append("".join(_shade((a + b) / 2) for a, b in zip(upper, lower, strict=True)))
        console.print("  ".join(line), highlight=False, markup=False)


def _name(candidate: dict[str, Any], winner: str) -> str:
    name = _NAMES.get(candidate["name"], candidate["name"])
    name += f" ({'–'.join(map(str, candidate['widths']))})" if candidate["widths"] else ""
    return f"{name}, the winner" if candidate["name"] == winner else name


def _verdict(result: dict[str, Any]) -> str:
    if result["second"] is None:
        return "Nothing was trained beside it."
    names = [_NAMES.get(result[which], result[which]) for which in ("winner", "second")]
    behind = result["margin"] or 0
    said = f"By validation the winner is: {names[0]}; {names[1]} is {behind:.0%} behind."
    if result["winner"] != "found":
        said += " GET …/model gives the winner; this demo takes what was found, with ?candidate=found."
    return said


def _shade(value: float) -> str:
    return _SHADES[min(len(_SHADES) - 1, max(0, int(value * len(_SHADES))))]


def _eta(progress: dict[str, Any]) -> str:
    eta = progress.get("eta_s")
    return f", about {eta:.0f} s left" if eta else ""
