"""What leaves the house computes the same: the generated file, in a process without us, and ONNX Runtime."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import load_model_from_string
from safetensors.torch import load_file, save_file

from models import onnx, source
from models.network import Affine, Network
from models.shrink import shrink
from spec.mlp import Mlp

from .networks import skip_graph, sleep_, stream_graph, wake_


def found(kind: str) -> Network:
    """A shrunk network of each form that an export must know."""
    torch.manual_seed(7)
    if kind == "skip":
        network = Network(skip_graph(6, "grouped"))
    elif kind == "stream":
        network = Network(stream_graph(9, "grouped"))
        for scalars in network.scalars.values():
            torch.nn.init.normal_(scalars)
        wake_(network, torch.tensor([False, True, False, True, True, False]))
    elif kind == "regression":
        graph = Mlp(kind="mlp", widths=[6, 5], activation="gelu").graph((4,), (2,))
        network = Network(graph, Affine(torch.randn(4), torch.rand(4) + 0.5), Affine(torch.randn(2), torch.rand(2) + 1))
    else:
        graph = Mlp(
            kind="mlp",
            widths=[9, 5],
            activation="relu",
            bias="grouped" if kind == "grouped head" else "free",
            group_head=True,
            output_activation="relu",
        ).graph((1, 3, 4), (1, 3, 4))
        network = Network(graph, Affine(torch.full((1, 1, 1), 0.13), torch.full((1, 1, 1), 0.31)))
    sleep_(network, {node.name: torch.arange(node.width) % 3 != 1 for node in network.graph.searched()})
    return shrink(network).eval()


KINDS = ("skip", "stream", "regression", "grouped head", "published form")


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_runtime_agrees_for_any_batch(kind):
    network = found(kind)
    model = onnx.export(network, {"search_id": "srch_x"})
    session = onnxruntime.InferenceSession(model)
    assert session.get_modelmeta().custom_metadata_map == {"search_id": "srch_x"}
    for batch in (1, 2, 5):
        x = torch.rand(batch, *network.graph.input_shape)
        (given,) = session.run(None, {"input": x.numpy()})
        with torch.no_grad():
            assert np.abs(given - network(x).numpy()).max() <= 1e-5


def test_onnx_bytes_depend_on_the_network_alone_and_name_no_path():
    network = found("skip")
    model = onnx.export(network, {"b": "2", "a": "1"})
    assert model == onnx.export(network, {"a": "1", "b": "2"})
    assert str(Path.home()).encode() not in model
    assert b".py" not in model


def test_an_onnx_file_needs_no_recent_runtime_and_says_every_shape():
    model = load_model_from_string(onnx.export(found("published form"), {}))
    assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (8, [("", 17)])
    said = {value.name: value.type.tensor_type.shape.dim for value in (*model.graph.value_info, *model.graph.output)}
    for node in model.graph.node:
        assert all(name in said for name in node.output), node.name
    assert [dim.dim_param or dim.dim_value for dim in said["output"]] == ["batch", 1, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_the_generated_file_runs_without_this_project_and_agrees(kind, tmp_path):
    network = found(kind)
    (tmp_path / "model.py").write_text(source.source(network, 'a "title" with \\ odd characters'))
    save_file(source.tensors(network), tmp_path / "model.safetensors")
    x = torch.rand(3, *network.graph.input_shape)
    with torch.no_grad():
        save_file({"input": x, "output": network(x)}, tmp_path / "samples.safetensors")
    script = (
        "import sys; sys.path[:] = [p for p in sys.path if 'finder' not in p];"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()];"
        "import importlib.util as u; assert u.find_spec('models') is None and u.find_spec('linbreg') is None;"
        "import model; from safetensors.torch import load_file as l; s = l('samples.safetensors');"
        "print(model.replay()[0], tuple(model.load()(s['input']).shape))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, env={"PATH": ""}
    )
    assert run.returncode == 0, run.stderr
    difference = float(run.stdout.split()[0])
    assert difference <= 1e-5
    assert set(load_file(tmp_path / "model.safetensors")) >= {"mean", "std", "head.weight"}
    replay = subprocess.run([sys.executable, "model.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert replay.stdout.startswith("largest difference")


def test_a_replay_that_differs_is_a_failure(tmp_path):
    network = found("skip")
    (tmp_path / "model.py").write_text(source.source(network, "t"))
    save_file(source.tensors(network), tmp_path / "model.safetensors")
    x = torch.rand(3, *network.graph.input_shape)
    with torch.no_grad():
        save_file({"input": x, "output": network(x) + 1}, tmp_path / "samples.safetensors")
    run = subprocess.run([sys.executable, "model.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "differ" in run.stderr
