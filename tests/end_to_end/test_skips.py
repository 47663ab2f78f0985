"""Skips asked for over HTTP: the connections are found, told, and inside the network that is delivered."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

pytestmark = pytest.mark.trains

LIMIT = 6000
ASKED = {
    "superstructure": {"kind": "mlp", "widths": [48] * 4, "skips": "searched"},
    "task": {"kind": "autoencode"},
    "target": {"parameters": LIMIT},
    "method": {"lr": 0.003, "skip_lam": 0.05},
    "compare": ["scratch"],
    "seed": 1,
    "budget": {"epochs": 8, "batch_size": 32},
}


@pytest.fixture(scope="module")
def succeeded(service):
    over = service.wait_over(service.post(**ASKED)["id"])
    assert over["status"] == "succeeded", over["error"]
    return over


def test_the_result_names_the_skips_and_the_time_series_counts_them(service, succeeded):
    skips = succeeded["result"]["skips"]
    assert skips
    names = [layer["name"] for layer in succeeded["layers"]]
    assert all(names.index(skip["from"]) < names.index(skip["to"]) for skip in skips)
    history = service.client.get(f"/v1/searches/{succeeded['id']}/layers").json()
    pairs = zip(history["stages"], history["metrics"], strict=True)
    counts = [metrics["skips"] for stage, metrics in pairs if stage == "search"]
    assert len(counts) == 8
    assert counts[-1] == len(skips)
    active = [layer["active"] for layer in history["layers"] if layer["searched"]]
    assert active[0] == active[1] == active[2] == active[3], "a neuron of the stream is awake in all layers or in none"


def test_every_part_of_the_bundle_has_the_skips(service, succeeded, tmp_path):
    answer = service.client.get(f"/v1/searches/{succeeded['id']}/model", params={"candidate": "found"})
    with zipfile.ZipFile(io.BytesIO(answer.raise_for_status().content)) as bundle:
        bundle.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    replay = subprocess.run([sys.executable, "model.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert replay.returncode == 0, replay.stderr
    samples = load_file(folder / "samples.safetensors")
    (output,) = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"input": samples["input"]})
    assert np.abs(output - samples["output"]).max() <= 1e-5
    weights = load_file(folder / "model.safetensors")
    scalars = sum(len(value) for name, value in weights.items() if name.endswith("_scalars"))
    assert scalars == len(succeeded["result"]["skips"])
    counted = sum(value.size for name, value in weights.items() if "." in name) + scalars
    architecture = json.loads((folder / "architecture.json").read_text())
    assert counted == architecture["parameters"] == succeeded["result"]["shrunk"]["parameters"] <= LIMIT
    card = (folder / "README.md").read_text()
    assert all(f"{skip['from']} → {skip['to']} (" in card for skip in succeeded["result"]["skips"])


def test_a_search_on_its_path_keeps_them(service, succeeded):
    url = f"/v1/searches/{succeeded['id']}/path"
    entries = service.client.get(url).json()["data"]
    made = service.client.post(f"{url}/{len(entries) - 1}", json={"finetune": {"epochs": 0}, "compare": []})
    assert made.status_code == 202, made.text
    over = service.wait_over(made.json()["id"])
    assert over["status"] == "succeeded", over["error"]
    assert over["result"]["skips"] == succeeded["result"]["skips"]
    assert over["result"]["shrunk"]["parameters"] == entries[-1]["parameters"]


def test_skips_between_layers_of_different_widths_are_refused_in_words(service):
    asked = {**ASKED, "superstructure": {"kind": "mlp", "widths": [48, 40], "skips": "searched"}, "data": "digits"}
    refused = service.client.post("/v1/searches", json=asked)
    assert refused.status_code == 422
    assert "give all widths the same number, such as [48, 48]" in refused.text
