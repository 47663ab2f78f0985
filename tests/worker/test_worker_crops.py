"""Training on crops: how many make an epoch, and that it can be left at any batch with the same result."""

import numpy as np
import pytest
import torch

from datasets import Dataset
from models.network import Network, he_
from models.stepper import Stepper
from spec import Crops
from spec.task import Denoise, Segment
from spec.unet import Unet
from worker.objective import objective
from worker.samples import Samples, Split
from worker.seeds import stream
from worker.tiles import tiling
from worker.training import Schedule, Training, batches_of

CROPS = Crops(side=12, per_image=3)
SIZES = [(20, 24), (16, 16), (30, 14), (16, 20), (18, 18), (24, 16), (17, 15)]


@pytest.fixture(scope="module")
def samples():
    """Seven images of different sizes with masks of what is bright."""
    random = np.random.default_rng(0)
    x = np.zeros((7, 1, 30, 24), np.uint8)
    for n, (h, w) in enumerate(SIZES):
        x[n, 0, :h, :w] = random.integers(0, 256, (h, w))
    splits = {"train": np.arange(5), "validation": np.array([5]), "test": np.array([6])}
    return Samples(Dataset("mine", x, (x[:, 0] > 150).astype(np.uint8), splits, np.array(SIZES)))


def begin(samples, task, outputs):
    graph = Unet(kind="unet", levels=2, base=3, convolutions=1).graph((1, 16, 16), (outputs, 16, 16))
    network = he_(Network(graph, samples.inputs), stream(1, "start"))
    adam = torch.optim.Adam(network.parameters())
    return Training(
        "search", Stepper(network, adam), Schedule("constant", 0.01), objective(task), samples,
        steps=10, batch_size=4, seed=3, crops=CROPS, tiling=tiling(graph), keep_best=True,
    )  # fmt: skip


TASKS = [(Denoise(kind="denoise", sigma=0.2), 1), (Segment(kind="segment"), 2)]


def test_an_epoch_takes_every_image_as_often_as_it_gives_crops(samples, monkeypatch):
    assert batches_of(samples, 4, CROPS) == 4  # 15 crops
    training, seen = begin(samples, *TASKS[0]), []
    cut = Split.crops

    def watched(split, indices, side, generator):
        seen.append(indices)
        return cut(split, indices, side, generator)

    monkeypatch.setattr(Split, "crops", watched)
    training.run_epoch(lambda: None)
    assert [len(indices) for indices in seen] == [4, 4, 4, 3]
    assert torch.bincount(torch.cat(seen)).tolist() == [3] * 5


@pytest.mark.parametrize(("task", "outputs"), TASKS)
@pytest.mark.parametrize("left_at", [1, 4, 6])
def test_left_and_taken_up_at_any_batch_it_ends_with_the_same_weights(samples, task, outputs, left_at):
    def train(training, until=None):
        class Left(Exception):
            pass

        def between():
            if training.done == until:
                raise Left

        try:
            while training.done < training.steps:
                training.run_epoch(between)
        except Left:
            pass
        return training

    whole = train(begin(samples, task, outputs))
    state = train(begin(samples, task, outputs), left_at).state()
    second = begin(samples, task, outputs)
    second.restore(*state)
    train(second)

    assert second.best_loss == whole.best_loss
    assert second.scores == whole.scores
    for one, other in zip(whole.finish().parameters(), second.finish().parameters(), strict=True):
        assert torch.equal(one, other)
