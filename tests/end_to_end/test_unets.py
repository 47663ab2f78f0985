"""A U-Net of a size asked for over HTTP: its layers, its rivals, its bundle, and its path, on which others go on."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import onnxruntime
import pytest
from PIL import Image

pytestmark = pytest.mark.trains

LIMIT = 700
ASKED = {
    "superstructure": {"kind": "unet", "levels": 2, "base": 6, "convolutions": 1, "residual": True},
    "target": {"parameters": LIMIT},
    "method": {"lr": 0.003, "selection": "swaps"},
    "budget": {"epochs": 2, "batch_size": 64},
    "finetune": {"epochs": 1},
    "compare": ["control"],
}


@pytest.fixture(scope="module")
def succeeded(service):
    over = service.wait_over(service.post(**ASKED)["id"])
    assert over["status"] == "succeeded", over["error"]
    return over


def test_a_unet_is_found_over_http_at_its_size_and_beside_its_control(service, succeeded):
    result = succeeded["result"]
    assert 0 < result["target"]["reached"] <= LIMIT
    assert {candidate["name"] for candidate in result["candidates"]} == {"found", "control"}
    assert all(one["latency_ms"] > 0 and one["parameters"] <= LIMIT for one in result["candidates"])
    assert list(result["widths"]) == ["down1_1", "down2_1", "up1_1"]
    layers = service.client.get(f"/v1/searches/{succeeded['id']}/layers").json()["layers"]
    assert [layer["active"][-1] for layer in layers if layer["searched"]] == list(result["widths"].values())


def test_its_bundle_runs_alone_at_sizes_that_it_was_not_trained_on(service, succeeded, tmp_path):
    answer = service.client.get(f"/v1/searches/{succeeded['id']}/model").raise_for_status()
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        bundle.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    nodes = json.loads((folder / "architecture.json").read_text())["graph"]["nodes"]
    shape = json.loads((folder / "preprocessing.json").read_text())["input"]["shape"]
    assert shape == ["batch", shape[1], "height", "width"]
    assert "any height and width" in (folder / "README.md").read_text()
    assert nodes[-1]["op"] == "sum", "it gives a correction"
    pixels = np.random.default_rng(0).integers(0, 256, (21, 35), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "noisy.png")
    command = [sys.executable, "-I", "model.py", "noisy.png", "clean.png"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    session = onnxruntime.InferenceSession((folder / "model.onnx").read_bytes())
    (by_onnx,) = session.run(None, {"input": (pixels / np.float32(255))[None, None]})
    drawn = np.asarray(Image.open(folder / "clean.png")).astype(int)
    assert np.abs(drawn - by_onnx[0, 0].clip(0, 1) * 255).max() <= 1


def test_an_architecture_of_its_path_can_be_trained_on(service, succeeded):
    url = f"/v1/searches/{succeeded['id']}/path"
    path = service.client.get(url).json()["data"]
    assert path[-1]["widths"] == list(succeeded["result"]["widths"].values())
    made = service.client.post(f"{url}/{path[-1]['k']}", json={"compare": []})
    assert made.status_code == 202, made.text
    assert made.json()["spec"]["target"] is None
    service.client.post(f"/v1/searches/{made.json()['id']}/cancel").raise_for_status()
