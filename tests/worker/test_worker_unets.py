"""Searches of U-Nets and convolutional networks from end to end in this process, on small images made here."""

import gc
import itertools
import json
import math
import subprocess
import sys
import weakref
import zipfile
from io import BytesIO

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load

import datasets
from datasets import Dataset
from models.stepper import Stepper
from spec import SIZES, SearchSpec, macs, parameters
from worker import bundle, comparison, path, results
from worker.failure import SearchFailed, Stopped
from worker.job import Folder, Job
from worker.objective import objective
from worker.pipeline import Pipeline
from worker.progress import EpochDone, StageBegun
from worker.samples import Samples
from worker.searching import searching

from .conftest import SEARCH_ID

pytestmark = pytest.mark.trains

UNET = {"kind": "unet", "levels": 2, "base": 6, "convolutions": 1}
SPEC = {
    "superstructure": UNET,
    "task": {"kind": "denoise", "sigma": 0.2},
    "data": "mine",
    "method": {"lr": 0.003},
    "budget": {"epochs": 3, "batch_size": 8},
    "finetune": {"epochs": 2},
    "compare": [],
    "seed": 3,
}
SMALL = {"parameters": 700}


def images(channels=1, side=16):
    """Blocks of four pixels, each of one brightness, as bytes: (24, channels, side, side)."""
    blocks = np.random.default_rng(0).integers(0, 256, (24, channels, side // 4, side // 4))
    return np.kron(blocks, np.ones((1, 1, 4, 4))).astype(np.uint8)


def samples(y=None, sizes=None):
    splits = {"train": np.arange(16), "validation": np.arange(16, 20), "test": np.arange(20, 24)}
    x = images()
    if sizes is not None:
        for image, (height, width) in zip(x, sizes, strict=True):
            image[:, height:], image[:, :, width:] = 0, 0
    return Samples(Dataset("mine", x, y, splits, sizes))


@pytest.fixture
def search(tmp_path):
    """Run a specification: its job, its outcome and what it said; `left_every` ends it again and again after so many
    batches."""
    numbers = itertools.count()

    def run(given=None, begin=None, left_every=None, **changes):
        spec = SearchSpec.model_validate({**SPEC, **changes})
        folder = Folder(tmp_path / f"{next(numbers)}")
        folder.create(Job(search_id=SEARCH_ID, created_at=1.7e9, spec=spec, threads=1, checkpoint_s=1e6))
        if begin is not None:
            (folder.path / "start.safetensors").write_bytes(path.to_bytes(begin))
        said = []
        while True:
            batches = itertools.count(1)
            stopping = (lambda n=batches: next(n) == left_every) if left_every else lambda: False
            try:
                outcome = Pipeline(folder.read_job(), folder, given or samples(), said.append, stopping).run()
                return folder.read_job(), outcome, said
            except Stopped:
                continue

    return run


def by_name(outcome):
    return {contender.name: contender for contender in outcome.contenders}


def told(said):
    return [m.model_dump(exclude={"seconds", "eta_s"}) for m in said if isinstance(m, EpochDone)]


@pytest.mark.parametrize("target", [SMALL, {"macs": 60_000}, {"fraction": 0.3}])
def test_no_network_is_larger_than_the_target_and_every_seed_has_its_control(search, target):
    names = ["flat", "scaled", "ratio", "random", "scratch", "control"]
    job, outcome, said = search(target=target, seeds=[1, 2], compare=names)
    size, limit = SIZES[job.spec.target.measure], job.spec.target.limit(outcome.full)
    contenders = by_name(outcome)
    assert set(contenders) == {"found", *names}
    reached = {name: [size(one.network.graph, None) for one in each.candidates] for name, each in contenders.items()}
    assert max(itertools.chain(*reached.values())) <= limit
    assert min(itertools.chain(*reached.values())) > 0.85 * limit, "a channel is a tenth of so small a network"
    assert [one.seed for one in contenders["control"].candidates] == [1, 2]
    control = contenders["control"].best.network
    assert [n.width for n in control.graph.searched()] == [
        n.width for n in contenders["flat"].best.network.graph.searched()
    ]
    assert contenders["control"].best.full
    epochs = [m for m in said if isinstance(m, EpochDone)]
    trials = [m.trial for m in epochs if m.seed == 2 and m.stage == "compare" and m.trial.startswith("control")]
    assert trials == ["control search"] * 3 + ["control finetune"] * 2


def test_in_bfloat16_weights_duals_and_what_is_delivered_are_float32(search, monkeypatch):
    """Layers are computed in less, and nothing is kept in it; the search ends at its size all the same."""
    computed, forward = set(), torch.nn.functional.conv2d

    def conv2d(x, *args, **kwargs):
        y = forward(x, *args, **kwargs)
        computed.add((y.dtype, torch.is_grad_enabled()))
        return y

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)
    kept = set()
    step = Stepper.step

    def watched(self, *given):
        loss = step(self, *given)
        states = [value for state in self.optimizer.state.values() for value in state.values()]
        kept.update(tensor.dtype for tensor in [*self.network.parameters(), *states])
        return loss

    monkeypatch.setattr(Stepper, "step", watched)
    budget = {**SPEC["budget"], "precision": "bfloat16"}
    _, outcome, _ = search(target=SMALL, compare=["flat"], budget=budget)
    assert computed == {(torch.bfloat16, True), (torch.float32, False)}, "training, and validation"
    assert kept == {torch.float32}
    assert 0.85 * 700 < parameters(outcome.found.network.graph) <= 700
    assert outcome.found.difference < 1e-5

    monkeypatch.undo()
    _, exact, _ = search(target=SMALL, compare=["flat"])
    losses = [by_name(one)["found"].best.validation.loss for one in (outcome, exact)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("selection", ["swaps", "admission", "quantile"])
def test_left_at_any_batch_and_taken_up_it_ends_with_the_same_networks(search, selection):
    """Also in the control, in its search as in its training on; with a time at which channels move or are let in."""
    asked = {
        "target": SMALL,
        "method": {"lr": 0.003, "selection": selection},
        "budget": {"epochs": 9, "batch_size": 4, "crop": 8, "crops_per_image": 1},
        "compare": ["control", "ratio"],
    }
    _, whole, undisturbed = search(**asked)
    _, again, disturbed = search(**asked, left_every=7)
    assert told(disturbed) == told(undisturbed)
    assert [c.loss for c in again.contenders] == [c.loss for c in whole.contenders]
    assert again.found.counts == whole.found.counts
    for one, other in zip(whole.contenders, again.contenders, strict=True):
        for a, b in zip(one.candidates, other.candidates, strict=True):
            assert a.network.graph == b.network.graph
            for tensor, same in zip(a.network.parameters(), b.network.parameters(), strict=True):
                assert torch.equal(tensor, same)
    assert again.comparison_epochs == whole.comparison_epochs
    begun = {m.stage: m.epochs for m in undisturbed if isinstance(m, StageBegun)}
    done = {m.stage: m.epoch for m in undisturbed if isinstance(m, EpochDone)}
    assert done == {stage: epochs for stage, epochs in begun.items() if epochs}, "what it announces is what it does"


ASLEEP = {
    "superstructure": {**UNET, "levels": 3, "growth": 1.0, "residual": True},
    "method": {"optimizer": "lasso", "lam": 0.01, "lr": 0.01, "cut": 0.05},
    "budget": {"epochs": 15, "batch_size": 4},
}


def test_levels_that_fell_asleep_are_cut_off_and_named(search, tmp_path):
    job, outcome, _ = search(**ASLEEP)
    found = outcome.found
    gone = [name for name, count in found.counts.items() if count == 0]
    assert gone == ["down2_1", "down3_1", "up2_1"]
    assert outcome.notes[0].endswith("and so removed: down2_1, down3_1, up2_1")
    assert not set(gone) & {node.name for node in found.network.graph.nodes}
    assert found.difference < 1e-5
    assert found.shrunk.loss == pytest.approx(found.superstructure.loss, rel=1e-5)
    said = results.result(job.spec, outcome, "psnr")
    assert [said["widths"][name] for name in gone] == [0, 0, 0]
    written, _, _ = bundle.write(job, outcome, samples(), objective(job.spec.task), tmp_path)
    assert all(one["latency_ms"] > 0 for one in written["candidates"])
    history = json.loads((tmp_path / "history.json").read_text())
    assert list(history[-1]["counts"].values()) == list(found.counts.values())


def test_a_control_that_diverged_is_no_network_that_does_not_exist():
    spec = SearchSpec(data="photos", task={"kind": "denoise"}, superstructure=UNET, target=SMALL, compare=["control"])
    graph = spec.superstructure.graph((1, 8, 8), (1, 8, 8))
    (said,) = comparison.notes(spec, graph, [], [], {"compare/1/control search": math.inf})
    assert said == "control diverged in every training: its loss was not finite"
    (said,) = comparison.notes(spec, graph, [], [], {"compare/1/ratio-2 dense lr 0.1 steps 4": math.inf})
    assert said.startswith("control has no network of this size")


def test_rivals_of_a_network_that_lost_levels_are_of_its_size(search, tmp_path):
    job, outcome, _ = search(**ASLEEP, compare=["flat", "scratch"])
    contenders = by_name(outcome)
    assert set(contenders) == {"found", "flat", "scratch"}
    assert contenders["scratch"].best.network.graph == outcome.found.network.graph
    most = parameters(outcome.found.network.graph)
    assert all(parameters(one.best.network.graph) <= most for one in outcome.contenders)

    bundle.write(job, outcome, samples(), objective(job.spec.task), tmp_path)
    width = contenders["flat"].best.network.graph["down2_1"].width
    assert outcome.winner.name == "flat"
    drawn = (tmp_path / "architecture.svg").read_text()
    assert f"down2_1 {width} of 6" in drawn, "inside the superstructure"


def test_where_nothing_passes_any_more_the_search_says_what_to_change(search):
    with pytest.raises(SearchFailed, match=r"make method.cut smaller \(it is 0.5\)"):
        search(**{**ASLEEP, "method": {**ASLEEP["method"], "cut": 0.5}})


def test_an_architecture_of_the_path_is_trained_on(search):
    grown = {"method": {"lr": 0.003, "selection": "admission"}, "budget": {"epochs": 6, "batch_size": 4}}
    _, first, _ = search(**grown, target=SMALL)
    sizes = [parameters(one.network.graph) for one in first.path]
    assert len(sizes) > 1
    assert sizes == sorted(sizes)
    snapshot = first.path[0]
    start = {"search": "srch_" + "0" * 32, "k": 0}
    _, outcome, said = search(begin=snapshot, start=start, compare=["scratch"])
    assert "search" not in {epoch["stage"] for epoch in told(said)}
    assert outcome.found.counts == snapshot.counts
    assert by_name(outcome)["found"].loss < snapshot.validation.loss
    assert all(parameters(one.best.network.graph) <= sizes[0] for one in outcome.contenders)


def test_super_resolution_has_to_beat_its_input(search):
    task = {"kind": "super_resolve"}
    _, outcome, _ = search(task=task, superstructure={**UNET, "residual": True}, finetune={"epochs": 60}, target=SMALL)
    assert by_name(outcome)["found"].best.validation.metric > outcome.unchanged.metric


def test_partners_of_more_channels_are_aimed_at_in_their_own_units(search):
    partners = np.concatenate([255 - images(), images(), images() // 2], 1)
    given = samples(partners)
    _, outcome, _ = search(given, task={"kind": "translate"}, finetune={"epochs": 20}, target=SMALL)
    network = outcome.winner.best.network
    assert network.graph.output_shape == (3, 16, 16)
    x, y = given.splits["test"].batch(torch.arange(4))
    with torch.no_grad():
        out = network(x)
    assert network.outputs.mean.flatten().tolist() == pytest.approx(
        [partners[:16, c].mean() / 255 for c in range(3)], abs=1e-4
    )
    assert float((out - y).square().mean()) == pytest.approx(outcome.winner.best.test.loss, rel=1e-3)
    assert float((out - y).square().mean()) < 0.5 * float((y - y.mean((0, 2, 3), keepdim=True)).square().mean())


@pytest.fixture
def segmented(search, tmp_path):
    """Masks of three classes, images of several sizes, trained on crops: the result, and the unpacked bundle."""
    masks = (images()[:, 0] > 85).astype(np.uint8) + (images()[:, 0] > 170)
    sizes = np.array([(16, 16 - 2 * (n % 3)) for n in range(24)])
    given = samples(masks, sizes)
    job, outcome, _ = search(
        given, task={"kind": "segment"}, target=SMALL, finetune={"epochs": 20},
        budget={"epochs": 6, "batch_size": 4, "crop": 12, "crops_per_image": 1},
    )  # fmt: skip
    folder = tmp_path / "bundle"
    folder.mkdir()
    result, _, name = bundle.write(job, outcome, given, objective(job.spec.task), folder)
    with zipfile.ZipFile(BytesIO((folder / name).read_bytes())) as archive:
        archive.extractall(folder / "unpacked")
    return result, outcome.winner.best.network, folder / "unpacked" / name.removesuffix(".zip")


def test_masks_are_segmented_and_the_bundle_draws_them_at_sizes_not_seen(segmented):
    result, network, folder = segmented
    best = result["candidates"][0]
    assert best["test"]["dice"] == pytest.approx((best["test"]["dice_1"] + best["test"]["dice_2"]) / 2)
    assert best["test"]["dice"] > 0.7
    assert 0.5 < best["test"]["iou"] < best["test"]["dice"]
    shades = np.random.default_rng(1).integers(0, 256, (5, 9))
    image = np.kron(shades, np.ones((4, 4))).astype(np.uint8)[:19, :33]
    Image.fromarray(image).save(folder / "new.png")
    command = [sys.executable, "-I", "model.py", "new.png", "mask.png"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    x = torch.tensor(image)[None, None] / 255
    session = onnxruntime.InferenceSession((folder / "model.onnx").read_bytes())
    (given,) = session.run(None, {"input": x.numpy()})
    with torch.no_grad():
        expected = network(x).numpy()
    assert np.abs(given - expected).max() < 1e-4
    assert (np.unique(np.asarray(Image.open(folder / "mask.png"))).size) == len(np.unique(expected.argmax(1)))
    recorded = load((folder / "samples.safetensors").read_bytes())
    assert (recorded["output"].argmax(1) == recorded["truth"]).float().mean() > 0.8


def test_a_convnet_classifies_at_the_size_asked_for(search):
    digits = Samples(datasets.load("digits", None))
    _, outcome, _ = search(
        digits,
        superstructure={"kind": "convnet", "channels": [8, 16], "hidden": [32]},
        task={"kind": "classify"},
        target={"macs": 20_000},
        budget={"epochs": 4, "batch_size": 64},
        compare=None,
    )
    contenders = by_name(outcome)
    assert {"found", "flat", "scaled", "ratio", "scratch"} == set(contenders)
    assert all(macs(one.best.network.graph) <= 20_000 for one in outcome.contenders)
    assert contenders["found"].best.test.metric > 0.8
    assert [node.name for node in outcome.found.network.graph.searched()] == ["conv1", "conv2", "hidden1"]


@pytest.mark.parametrize("selection", ["swaps", "admission", "quantile"])
def test_a_search_that_is_let_go_of_is_gone_with_its_optimiser(selection):
    """Without waiting for a garbage collection: the next training begins at once, and two do not fit."""
    asked = {**SPEC, "target": SMALL, "method": {"selection": selection}}
    spec = SearchSpec.model_validate(asked)
    graph = spec.superstructure.graph((1, 16, 16), (1, 16, 16))
    gc.disable()
    try:
        training = searching(
            "search", graph, spec, objective(spec.task), samples(),
            seed=1, device=torch.device("cpu"), crops=None, tiling=None,
        )  # fmt: skip
        optimizer = weakref.ref(training.optimizer)
        training.run_epoch(lambda: None)
        del training
        assert optimizer() is None
    finally:
        gc.enable()
