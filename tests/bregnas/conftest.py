"""A real service on SQLite for the tests of client and command line, and a machine without profiles or keys."""

import os

import numpy as np
import pytest
from PIL import Image

from bregnas import Bregnas
from spec import SearchSpec

from ..service import serving

SEARCH = {
    "superstructure": {"kind": "unet", "levels": 2, "base": 6, "residual": True},
    "task": {"kind": "denoise", "sigma": 0.1},
    "target": {"parameters": 600},
    "method": {"lr": 0.002},
    "budget": {"epochs": 2, "batch_size": 8, "crop": 16},
    "finetune": {"epochs": 1},
    "compare": [],
    "seed": 1,
}
"""A U-Net on images of any size, in a few seconds."""


@pytest.fixture(scope="package")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("home") / "home", BREGNAS_MEMORY_LIMIT="4GiB") as running:
        yield running


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No variables and no files of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("BREGNAS_") and name != "BREGNAS_TEST_POSTGRES":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="package")
def finished(service, pngs):
    """A search on the PNGs that has succeeded, and what its waiting was told."""
    with Bregnas(service.url) as client:
        data = client.datasets.add(pngs)
        seen = []
        search = client.searches.create(SearchSpec(**SEARCH, data=data.reference), name="first")
        yield search.wait(400, seen.append, longest_s=1), seen


@pytest.fixture(scope="package")
def failed(service, finished):
    """A search that fails, or is about to."""
    with Bregnas(service.url) as client:
        yield client.searches.create(
            superstructure={"kind": "mlp", "widths": [2000] * 2}, task={"kind": "denoise"}, data="digits",
            budget={"epochs": 90_000, "time_limit_s": 1}, metadata={"kind": "doomed"},
        )  # fmt: skip


@pytest.fixture(scope="package")
def pngs(tmp_path_factory):
    """A folder of grey PNGs of two sizes: bright discs on a ramp."""
    folder = tmp_path_factory.mktemp("images") / "my-images"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(30):
        height, width = (32, 40) if number % 2 else (40, 32)
        y, x = np.mgrid[:height, :width]
        centre = rng.uniform(8, 24, 2)
        disc = np.hypot(y - centre[0], x - centre[1]) < rng.uniform(3, 8)
        Image.fromarray((60 + x + 100 * disc).astype(np.uint8)).save(folder / f"{number:02}.png")
    return folder
