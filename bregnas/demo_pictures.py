"""What a demo shows at its end: the result in words, and an image or two in characters."""

from typing import Any

from rich.console import Console

from bregnas import show
from bregnas.documents import SearchDocument

_SHADES = " ·░▒▓█"


def summary(console: Console, found: SearchDocument, ran: dict[str, Any]) -> None:
    """What a demo found: the search, and how its samples look where the network ran alone."""
    result = found.result or {}
    console.print()
    show.search(console, found)
    full, shrunk = result["superstructure"], result["shrunk"]
    console.print(
        f"parameters    {full['parameters']:,} before, {shrunk['parameters']:,} after; shrinking changed no output by "
        f"more than {result['difference']:.1e}",
        highlight=False,
    )
    if result["winner"] != "found":
        console.print("GET …/model gives the winner; this demo takes what was found, with ?candidate=found.")
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


def _shade(value: float) -> str:
    return _SHADES[min(len(_SHADES) - 1, max(0, int(value * len(_SHADES))))]
