"""Image tasks through the real trainer, on small pairs made here."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load

from datasets import upload
from spec import SearchSpec
from worker.job import Folder, Job

from .conftest import SEARCH_ID, SPEC, results, run

pytestmark = pytest.mark.trains

DATA = "dset_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"


@pytest.fixture(scope="module")
def digits():
    from datasets import load as named

    return (named("digits", None).x[:600] * 255).astype(np.uint8)


@pytest.fixture
def search(tmp_path, digits):
    """Run a search on the digits, with partners that are made of them; the result and its files."""

    def search(partners, task, **changes):
        np.savez(tmp_path / "pairs.npz", x=digits[:, 0], y=partners(digits))
        small = {"superstructure": {"kind": "mlp", "widths": [64]}, "compare": ["flat"], "method": {"lr": 0.01}}
        small |= {"budget": {"epochs": 10, "batch_size": 16}, "finetune": {"epochs": 6, "lr": 0.003}}
        spec = SearchSpec.model_validate({**SPEC, **small, "task": task, "data": DATA, **changes})
        folder = Folder(tmp_path / "1")
        folder.create(Job(search_id=SEARCH_ID, created_at=1.7e9, spec=spec, threads=1, data_file="data.npz"))
        upload.save(upload.read(tmp_path / "pairs.npz", "mine"), folder.path / "data.npz")
        said = run(folder)[-1]
        assert said["kind"] == "finished", said
        return said["result"], results(folder)

    return search


def test_masks_are_segmented_and_every_overlap_is_told(search):
    result, files = search(lambda x: (x[:, 0] > 60).astype(np.uint8) + (x[:, 0] > 160), {"kind": "segment"})

    best = result["candidates"][0]
    assert set(best["validation"]) == {"loss", "dice", "iou"} | {f"{m}_{k}" for m in ("dice", "iou") for k in range(3)}
    assert best["validation"]["dice"] > 0.8
    assert best["test"]["dice"] > 0.8
    assert best["validation"]["dice"] == pytest.approx(
        (best["validation"]["dice_1"] + best["validation"]["dice_2"]) / 2
    )
    assert result["unchanged"] is None
    recorded = load(files["samples.safetensors"])
    assert recorded["output"].shape == (8, 3, 8, 8)
    assert (recorded["output"].argmax(1) == recorded["truth"]).float().mean() > 0.8
    assert {"dice", "iou_1"} < set(json.loads(files["history.json"])[0]["metrics"])
    assert b"image-segmentation" in files["README.md"]


def test_partners_are_aimed_at_in_their_own_units(search):
    def negative(x):
        return np.stack([1 - x[:, 0] / 510, x[:, 0] / 255], 1)  # two channels with means of their own

    result, files = search(negative, {"kind": "translate"}, compare=["linear", "flat"])

    best = result["candidates"][0]
    assert best["validation"]["psnr"] > 20
    output = json.loads(files["preprocessing.json"])["output"]
    assert output["shape"] == ["batch", 2, 8, 8]
    assert len(output["mean"]) == 2
    assert output["mean"][0] == pytest.approx(1 - output["mean"][1] / 2, abs=1e-4)


def test_the_input_is_what_super_resolution_has_to_beat(search):
    result, files = search(lambda x: x[:, 0], {"kind": "super_resolve"})

    recorded = load(files["samples.safetensors"])
    error = (recorded["input"] - recorded["truth"]).square().flatten(1).mean(1)
    assert torch.isfinite(error).all()
    assert result["unchanged"]["validation"]["psnr"] < result["candidates"][0]["validation"]["psnr"]
