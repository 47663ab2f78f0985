"""The found architecture as an SVG: the superstructure's outline, and inside it what is left."""

from collections.abc import Mapping

from spec.graph import Graph

_BAR, _GAP, _HEIGHT, _TOP = 54, 26, 240, 34


def svg(graph: Graph, counts: Mapping[str, int]) -> str:
    """Layers along x, a bar each: its height is the width of the superstructure, its filled part what is active."""
    layers: list[tuple[str, int, int | None]] = [(graph.nodes[0].name, _inputs(graph), None)]
    layers += [(n.name, n.width, counts.get(n.name, n.width) if n.searched else None) for n in graph.layers()]
    tallest = max(width for _, width, _ in layers)
    width = len(layers) * (_BAR + _GAP) + _GAP
    middle = _TOP + _HEIGHT / 2
    caption = ", ".join(f"{name} {full if left is None else f'{left} of {full}'}" for name, full, left in layers)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_TOP + _HEIGHT + 48}" '
        f'font-family="sans-serif" font-size="12" text-anchor="middle" role="img">',
        f"<title>Neurons a layer: {caption}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for i, (name, full, left) in enumerate(layers):
        x = _GAP + i * (_BAR + _GAP)
        parts.append(_bar(x, middle, full / tallest, 'fill="none" stroke="#9aa5b1" stroke-dasharray="3 3"'))
        fill = "#c9d2dc" if left is None else "#1f5fa8"
        parts.append(_bar(x, middle, (full if left is None else left) / tallest, f'fill="{fill}"'))
        label = f"{full}" if left is None else f"{left} / {full}"
        parts.append(f'<text x="{x + _BAR / 2}" y="{_TOP + _HEIGHT + 20}" fill="#1b2733">{label}</text>')
        parts.append(f'<text x="{x + _BAR / 2}" y="{_TOP + _HEIGHT + 37}" fill="#5b6875">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _inputs(graph: Graph) -> int:
    """Entries that the first layer reads."""
    first = next(graph.layers())
    return graph[first.sources[0]].width


def _bar(x: float, middle: float, share: float, style: str) -> str:
    height = max(1.0, share * _HEIGHT)
    return f'<rect x="{x}" y="{middle - height / 2:.1f}" width="{_BAR}" height="{height:.1f}" rx="3" {style}/>'
