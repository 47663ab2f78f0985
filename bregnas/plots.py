"""Pictures of a search as PNG files, with matplotlib (the extra `demo`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

DPI = 150


def growth(history: dict[str, Any], path: Path) -> Path:
    """Layers along x, active neurons along y, a line an epoch of the search: the first light, the last dark."""
    rows = [i for i, stage in enumerate(history["stages"]) if stage == "search"]
    layers = history["layers"]
    names = [layer["name"] for layer in layers]
    figure, axes = plt.subplots(figsize=(max(7.5, len(names)), 4.5), layout="constrained")
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
    axes.legend(frameon=False, loc="best")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return path


def triptych(example: Mapping[str, Any], path: Path) -> Path:
    """Images of one size, (height, width) or (height, width, 3), in [0, 1], side by side, with their names."""
    height, width, *_ = np.shape(next(iter(example.values())))
    across = max(2.5, width / DPI)  # inches, so that no pixel of a photo is lost
    size = (across * len(example), across * height / width + 0.3)
    figure, axes = plt.subplots(1, len(example), figsize=size, layout="constrained")
    for axis, (name, image) in zip(axes, example.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(name)
        axis.axis("off")
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return path
