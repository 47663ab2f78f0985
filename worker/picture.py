"""The found architecture as an SVG: the superstructure's outline, and inside it what is left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spec.graph import Graph, used

_BAR, _GAP, _HEIGHT, _TOP, _LABELS, _LEAST = 54, 26, 240, 34, 48, 24


@dataclass(frozen=True)
class _Bar:
    """A layer as it is drawn: `left` is None where it is not searched, `y` its middle, both in pixels."""

    name: str
    full: int
    left: int | None
    x: int
    y: float

    @property
    def shown(self) -> int:
        return self.full if self.left is None else self.left


def svg(graph: Graph, counts: Mapping[str, int]) -> str:
    """Layers along x, a bar each: its height is the width of the superstructure, its filled part what is active.

    Layers that work on smaller images stand lower, a row for every size, so that a U-Net is a U; lines lead from row to
    row, and along the skips. What nothing reads any more is left empty.
    """
    counts = used(graph, {node.name: counts.get(node.name, node.width) for node in graph.searched()})
    bars, tallest, bottom = _bars(graph, counts)
    width = len(bars) * (_BAR + _GAP) + _GAP
    caption = ", ".join(f"{b.name} {b.full if b.left is None else f'{b.left} of {b.full}'}" for b in bars.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom:.0f}" '
        f'font-family="sans-serif" font-size="12" text-anchor="middle" role="img">',
        f"<title>Neurons a layer: {caption}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *_lines(graph, bars),
    ]
    for bar in bars.values():
        if bar.left is not None:
            parts.append(_rect(bar, bar.full, tallest, 'fill="#ffffff" stroke="#9aa5b1" stroke-dasharray="3 3"'))
        if bar.shown:
            fill = "#c9d2dc" if bar.left is None else "#1f5fa8"
            parts.append(_rect(bar, bar.shown, tallest, f'fill="{fill}"'))
    for bar in bars.values():
        label = f"{bar.full}" if bar.left is None else f"{bar.left} / {bar.full}"
        middle, below = bar.x + _BAR / 2, bar.y + _row(bars, bar.y, tallest) / 2
        parts.append(f'<text x="{middle}" y="{below + 20:.0f}" fill="#1b2733">{label}</text>')
        parts.append(f'<text x="{middle}" y="{below + 37:.0f}" fill="#5b6875">{bar.name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _bars(graph: Graph, counts: Mapping[str, int]) -> tuple[dict[str, _Bar], int, float]:
    """The bars by name, the most entries that one of them has, and the height of the picture in pixels."""
    first, strides = graph.nodes[0], graph.strides()
    drawn = [(first.name, _inputs(graph), None), *((n.name, n.width, counts.get(n.name)) for n in graph.layers())]
    tallest = max(full for _, full, _ in drawn)
    y, top = {}, float(_TOP)
    for stride in sorted({strides[name] for name, _, _ in drawn}):
        height = _share(max(full for name, full, _ in drawn if strides[name] == stride), tallest)
        y[stride] = top + height / 2
        top += height + _LABELS
    bars = {
        name: _Bar(name, full, left, _GAP + i * (_BAR + _GAP), y[strides[name]])
        for i, (name, full, left) in enumerate(drawn)
    }
    return bars, tallest, top


def _lines(graph: Graph, bars: Mapping[str, _Bar]) -> Iterator[str]:
    """From every layer to those that read it, but not between neighbours of one row."""
    neighbours = set(zip(bars, list(bars)[1:], strict=False))
    for node in graph.layers():
        end = bars[node.name]
        for source in graph.read_layers(node):
            start = bars[source.name]
            if start.shown and end.shown and (start.y != end.y or (source.name, node.name) not in neighbours):
                x1, x2 = start.x + _BAR, end.x
                yield (
                    f'<line x1="{x1}" y1="{start.y:.1f}" x2="{x2}" y2="{end.y:.1f}" stroke="#9aa5b1" stroke-width="2"/>'
                )


def _inputs(graph: Graph) -> int:
    """Entries that the first layer reads."""
    first = next(graph.layers())
    return graph[first.sources[0]].width


def _row(bars: Mapping[str, _Bar], y: float, tallest: int) -> float:
    """Height in pixels of the row whose middle is `y`."""
    return _share(max(bar.full for bar in bars.values() if bar.y == y), tallest)


def _share(entries: int, tallest: int) -> float:
    return max(_LEAST, entries / tallest * _HEIGHT)


def _rect(bar: _Bar, entries: int, tallest: int, style: str) -> str:
    height = max(1.0, entries / tallest * _HEIGHT)
    return f'<rect x="{bar.x}" y="{bar.y - height / 2:.1f}" width="{_BAR}" height="{height:.1f}" rx="3" {style}/>'
