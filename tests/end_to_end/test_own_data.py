"""A folder of one's own PNGs to a network that runs: the commands of docs/your-images.md, as a new user types them."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..service import serving

PAGE = Path(__file__).parents[2] / "docs" / "your-images.md"


def draw(folder: Path) -> None:
    """Bright squares on grey noise, 12 × 12."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(120):
        pixels = rng.integers(0, 60, (12, 12), dtype=np.uint8)
        row, column = rng.integers(0, 8, 2)
        pixels[row : row + 4, column : column + 4] = 220
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.mark.trains
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed, and the page's calls need it")
def test_own_pngs_become_a_network_that_runs_and_outlives_them(tmp_path, database_url):
    draw(tmp_path / "my-images")
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    with serving(tmp_path / "home", BREGNAS_DATABASE_URL=database_url) as service:
        script = "\n".join(blocks).replace("http://127.0.0.1:8000", service.url)
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr + service.log.read_text()[-4000:]
        assert "event: succeeded" in run.stdout, run.stdout
        dataset = json.loads((tmp_path / "dataset.json").read_text())
        search = service.get(json.loads((tmp_path / "search.json").read_text())["id"])
        assert service.client.get(f"/v1/datasets/{dataset['id']}").status_code == 404
        again = service.client.get(f"/v1/searches/{search['id']}/model")
    assert (dataset["shape"], dataset["count"], dataset["warnings"]) == ([1, 12, 12], 120, [])
    assert search["status"] == "succeeded"
    assert again.status_code == 200
    assert not list((tmp_path / "home" / "uploads").iterdir())
    assert not list((tmp_path / "home" / "artifacts" / "datasets").rglob("*.*"))
    archive = next(path for path in tmp_path.glob("*.zip") if path.name != "my-images.zip")
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(tmp_path)
    replay = subprocess.run(
        [sys.executable, "model.py"], cwd=archive.with_suffix(""), capture_output=True, text=True, check=False
    )
    assert replay.returncode == 0, replay.stderr


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path, database_url):
    with serving(tmp_path / "home", BREGNAS_DATABASE_URL=database_url) as service:
        port = int(service.url.rpartition(":")[2])
        head = (
            b"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.npz"\r\n\r\n'
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head + form + bytes(4_000_000))
            wait_until(lambda: len(under_way(service)) == 1)
        wait_until(lambda: under_way(service) == [])
        listed = service.client.get("/v1/datasets").json()["data"]
    assert all(dataset["id"] is None for dataset in listed)


def under_way(service) -> list[Path]:
    uploads = service.home / "uploads"
    return list(uploads.iterdir()) if uploads.exists() else []


def wait_until(holds) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
