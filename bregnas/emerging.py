"""How a search looks in a terminal while it runs."""

from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bregnas.documents import Progress, SearchDocument
from bregnas.plain import cell, plain

_STAGES = {
    "search": "searching",
    "finetune": "training on, shrunk",
    "compare": "networks that nobody searched for, of that size",
    "export": "exporting",
}
_BAR = 56  # characters


class Emerging:
    """The active neurons of every layer while they emerge; plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal and not console.quiet else None
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

    def update(self, search: SearchDocument) -> None:
        """Show the newest state of the search."""
        if self._live is not None:
            self._live.update(self._drawing(search))
            return
        progress = search.progress
        said = (search.status, progress.stage, progress.epoch)
        if said == self._said or search.is_over:
            return
        self._said = said
        if not progress.stage:
            self.console.print(plain(search.status), markup=False)
            return
        counts = " ".join(f"{layer.active or 0:4d}" for layer in search.layers)
        loss = search.losses.validation
        self.console.print(
            f"{plain(progress.stage):>8} {progress.epoch or 0:3d}/{progress.epochs or 0:<3d} [{counts}]"
            + (f" loss {loss:.4f}" if loss is not None else "")
            + eta(progress),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _drawing(self, search: SearchDocument) -> Group:
        progress = search.progress
        stage, epoch = progress.stage, progress.epoch or 0
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=progress.epochs or 1, completed=epoch, width=_BAR),
            f"{epoch * 100 // (progress.epochs or 1)} %{eta(progress)}",
        )
        counter = f" {epoch}/{progress.epochs}" if progress.epochs else ""
        said = _STAGES.get(stage or "", search.status) if search.status == "running" else search.status
        return Group(Text(f"{plain(said)}{counter}"), head, bars(search))


def bars(search: SearchDocument) -> Table:
    """The active neurons of every layer, as bars around a middle line."""
    table = Table.grid(padding=(0, 2))
    for layer in search.layers:
        active = layer.active or 0
        filled = round(_BAR * active / max(1, layer.width))
        centred = Text(("█" * max(filled, 1 if active else 0)).center(_BAR), style="blue")
        table.add_row(cell(layer.name), centred, f"{active:4d} of {layer.width}")
    return table


def eta(progress: Progress) -> str:
    """What is left, in words; nothing where that is not known."""
    return f", about {progress.eta_s:.0f} s left" if progress.eta_s else ""
