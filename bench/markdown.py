"""Figures and tables as they stand in docs/results.md."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Final

MISSING: Final = "*not measured yet*"


def spread(values: Sequence[float], form: str) -> str:
    """Mean ± standard deviation, each in this form; the value alone where there is one."""
    mean = f"{statistics.fmean(values):{form}}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):{form}}"


def seeds(count: int) -> str:
    """How many there are, in words."""
    return "1 seed" if count == 1 else f"{count} seeds"


def metric(value: float, metric: str) -> str:
    """An accuracy in per cent, or a PSNR."""
    return f"{100 * value:.1f} %" if metric == "accuracy" else f"{value:.2f} dB"


def loss(value: float) -> str:
    """Four decimals, without the zero before the point."""
    return f"{value:.4f}".removeprefix("0") if value < 1 else f"{value:.3f}"


def widths(widths: Iterable[int]) -> str:
    """Of the layers, in order."""
    return ", ".join(map(str, widths))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; MISSING where it has no rows."""
    if not rows:
        return MISSING + "\n"
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
