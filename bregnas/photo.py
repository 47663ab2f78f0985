"""A photograph that no search has seen: written with noise, and compared with what a network made of it."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FILE = "grace_hopper.jpg"  # in matplotlib; 512 × 600 pixels, public domain


def write(folder: Path, sigma: float, seed: int = 1) -> tuple[Path, Path]:
    """Write the photo as `clean.png`, and with normal noise of deviation `sigma`, of pixels in [0, 1], as `noisy.png`.

    What noise takes out of [0, 1] is cut off, as in a file it must be.
    """
    photo = Image.open(Path(mpl.get_data_path(), "sample_data", FILE)).convert("RGB")
    clean, noisy = folder / "clean.png", folder / "noisy.png"
    photo.save(clean)
    pixels = read(clean)
    pixels += np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8)).save(noisy)
    return clean, noisy


def read(path: Path) -> NDArray[Any]:
    """An image file as (height, width, 3), in [0, 1]."""
    return np.asarray(Image.open(path).convert("RGB")) / 255


def psnr(path: Path, clean: Path) -> float:
    """Peak signal-to-noise ratio in dB of one image file to another of the same size."""
    return float(-10 * np.log10(np.square(read(path) - read(clean)).mean()))
