"""A U-Net that leaves the house takes any image size: ONNX Runtime and the generated file, in a process without us."""

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from models import onnx, source
from models.network import Network
from models.shrink import shrink
from spec.convnet import Convnet
from spec.unet import Unet

from .images import filled, sleep_

SIZES = ((16, 16), (13, 7), (1, 1), (37, 22))

NETS = {
    "nearest": Unet(kind="unet", levels=3, base=4, up="nearest", pool="max", activation="relu"),
    "bilinear": Unet(kind="unet", levels=4, base=3, up="bilinear", pool="average", residual=True),
    "transposed": Unet(kind="unet", levels=3, base=4, up="transposed", pool="max", kernel=5, activation="gelu"),
    "constants": Unet(kind="unet", levels=3, base=4, up="transposed", residual=True),
    "two levels gone": Unet(kind="unet", levels=4, base=4),
}
DEAD = {"constants": ("down3_1", "up2_1"), "two levels gone": ("up2_2",)}


def found(kind: str) -> Network:
    network = filled(NETS[kind].graph((1, 16, 16), (1, 16, 16)), 7, torch.float32)
    masks = {node.name: torch.arange(node.width) % 3 != 1 for node in network.graph.searched()}
    masks |= {name: torch.zeros_like(masks[name]) for name in DEAD.get(kind, ())}
    sleep_(network, masks)
    return shrink(network).eval()


@pytest.mark.parametrize("kind", NETS)
def test_onnx_runtime_agrees_at_any_size_and_batch(kind):
    network = found(kind)
    assert any(node.op == "constant" for node in network.graph.nodes) == (kind == "constants")
    session = onnxruntime.InferenceSession(onnx.export(network, {}))
    assert session.get_inputs()[0].shape == ["batch", 1, "height", "width"]
    for batch, size in zip((1, 3, 2, 1), SIZES, strict=True):
        x = torch.randn(batch, 1, *size, generator=torch.Generator().manual_seed(batch))
        (given,) = session.run(None, {"input": x.numpy()})
        with torch.no_grad():
            expected = network(x).numpy()
        assert np.abs(given - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


def test_a_network_whose_costs_are_stated_at_small_images_is_exported_for_all():
    network = filled(Unet(kind="unet", levels=4, base=2).graph((1, 8, 8), (1, 8, 8)), 7, torch.float32).eval()
    session = onnxruntime.InferenceSession(onnx.export(network, {}))
    assert session.get_inputs()[0].shape == ["batch", 1, "height", "width"]
    for size in ((8, 8), (1, 1), (29, 50)):
        x = torch.randn(3, 1, *size)
        (given,) = session.run(None, {"input": x.numpy()})
        with torch.no_grad():
            expected = network(x).numpy()
        assert np.abs(given - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


def test_onnx_runtime_agrees_with_a_convnet():
    graph = Convnet(kind="convnet", channels=[6, 5], hidden=[7], kernel=5, pool="average").graph((2, 11, 14), (3,))
    network = filled(graph, 1, torch.float32)
    sleep_(network, {node.name: torch.arange(node.width) % 2 == 0 for node in graph.searched()})
    small = shrink(network).eval()
    session = onnxruntime.InferenceSession(onnx.export(small, {}))
    assert session.get_inputs()[0].shape == ["batch", 2, 11, 14]
    x = torch.randn(5, 2, 11, 14)
    (given,) = session.run(None, {"input": x.numpy()})
    with torch.no_grad():
        assert np.abs(given - network(x).numpy()).max() <= 1e-4


SCRIPT = """
import sys
sys.path[:] = [p for p in sys.path if "finder" not in p]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
import importlib.util
assert importlib.util.find_spec("models") is None and importlib.util.find_spec("spec") is None
import model
from safetensors.torch import load_file
given = load_file("sizes.safetensors")
network = model.load()
for key in [k for k in given if k.startswith("x")]:
    print(float((network(given[key]) - given["y" + key[1:]]).abs().max()))
"""


def written(network: Network, folder, **how) -> None:
    (folder / "model.py").write_text(source.source(network, "a U-Net", **how))
    save_file(source.tensors(network), folder / "model.safetensors")


@pytest.mark.parametrize("kind", NETS)
def test_the_generated_file_agrees_at_any_size_without_this_project(kind, tmp_path):
    network = found(kind)
    written(network, tmp_path)
    with torch.no_grad():
        given = {f"x{i}": torch.randn(2, 1, *size) for i, size in enumerate(SIZES)}
        given |= {f"y{key[1:]}": network(x) for key, x in given.items()}
    save_file(given, tmp_path / "sizes.safetensors")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False, env={"PATH": ""}
    )
    assert run.returncode == 0, run.stderr
    differences = [float(line) for line in run.stdout.split()]
    assert len(differences) == len(SIZES)
    assert max(differences) <= 1e-5 * max(1.0, *(float(y.abs().max()) for key, y in given.items() if key[0] == "y"))


def test_the_generated_file_runs_an_image_of_any_size(tmp_path):
    network = found("nearest")
    written(network, tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (19, 30), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    subprocess.run([sys.executable, "model.py", "in.png", "out.png"], cwd=tmp_path, check=True)
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels)[None, None].float() / 255)[0, 0]
    made = np.array(Image.open(tmp_path / "out.png"))
    assert made.shape == pixels.shape
    assert np.abs(made - (expected.clamp(0, 1) * 255).round().numpy()).max() <= 1


def test_channels_that_are_no_image_are_run_from_arrays(tmp_path):
    graph = Unet(kind="unet", levels=2, base=3).graph((2, 8, 8), (5, 8, 8))
    network = filled(graph, 3, torch.float32)
    written(network, tmp_path)
    x = np.random.default_rng(0).random((2, 9, 6))
    np.save(tmp_path / "in.npy", x)
    subprocess.run([sys.executable, "model.py", "in.npy", "out.npy"], cwd=tmp_path, check=True)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)[None].float())[0].numpy()
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=0, atol=1e-5)
    refused = subprocess.run(
        [sys.executable, "model.py", "out.npy", "x.npy"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "this network takes (2, height, width)" in refused.stderr


def test_the_generated_file_writes_masks(tmp_path):
    for classes, values in ((2, {0, 255}), (3, {0, 1, 2})):
        network = filled(Unet(kind="unet", levels=2, base=3).graph((1, 8, 8), (classes, 8, 8)), 3, torch.float32)
        written(network, tmp_path, masks=True)
        pixels = np.random.default_rng(0).integers(0, 256, (19, 30), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in.png")
        subprocess.run([sys.executable, "model.py", "in.png", "mask.png"], cwd=tmp_path, check=True)
        with torch.no_grad():
            expected = network(torch.from_numpy(pixels)[None, None].float() / 255)[0].argmax(0).numpy()
        made = np.array(Image.open(tmp_path / "mask.png"))
        assert set(np.unique(made)) <= values
        assert (made == expected * (255 if classes == 2 else 1)).mean() > 0.99


def test_the_generated_file_runs_large_images_in_tiles_with_the_same_result(tmp_path):
    network = found("bilinear")
    written(network, tmp_path)
    assert f"REACH, STRIDE = {network.graph.reach()}, 8" in (tmp_path / "model.py").read_text()
    x = torch.randn(1, 1, 410, 323)
    with torch.no_grad():
        save_file({"x": x, "y": network(x)}, tmp_path / "sizes.safetensors")
    script = (
        "import model, torch; from safetensors.torch import load_file; s = load_file('sizes.safetensors');"
        "n = model.load(); torch.set_grad_enabled(False); seen = [];"
        "n.register_forward_hook(lambda module, given, made: seen.append(given[0].shape[2] * given[0].shape[3]));"
        "print(float((model.tiled(n, s['x'], 128) - s['y']).abs().max()), len(seen), max(seen))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, env={"PATH": ""}
    )
    assert run.returncode == 0, run.stderr
    difference, runs, largest = map(float, run.stdout.split())
    assert difference <= 1e-4
    assert runs > 3
    assert largest < 410 * 323 / 2
