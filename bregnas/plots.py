"""Pictures of a search as PNG files, with matplotlib (the extra `demo`)."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def growth(history: dict[str, Any], path: Path) -> Path:
    """Layers along x, active neurons along y, a line an epoch of the search: the first light, the last dark."""
    rows = [i for i, stage in enumerate(history["stages"]) if stage == "search"]
    layers = history["layers"]
    names = [layer["name"] for layer in layers]
    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    colors = mpl.colormaps["Blues"]
    for k, row in enumerate(rows):
        share = k / max(1, len(rows) - 1)
        axes.plot(names, [layer["active"][row] for layer in layers], color=colors(0.2 + 0.8 * share), lw=1 + share)
    axes.plot(names, [layer["width"] for layer in layers], color="0.6", ls="--", lw=1, label="superstructure")
    axes.set(xlabel="layer", ylabel="active neurons", ylim=(0, None), title="The architecture, epoch by epoch")
    shades = mpl.cm.ScalarMappable(
        mpl.colors.Normalize(1, len(rows)), mpl.colors.ListedColormap(colors([0.2 + 0.008 * i for i in range(101)]))
    )
    figure.colorbar(shades, ax=axes, label="epoch")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0.94))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path


def triptych(example: dict[str, list[list[float]]], path: Path) -> Path:
    """Grey images side by side, with their names."""
    figure, axes = plt.subplots(1, len(example), figsize=(2.5 * len(example), 2.8), layout="constrained")
    for axis, (name, image) in zip(axes, example.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(name)
        axis.axis("off")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
