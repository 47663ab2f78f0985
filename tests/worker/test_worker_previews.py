"""Pictures while a search trains: what they show, when, and that they change nothing."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from datasets import load
from spec import SearchSpec
from spec.task import output_shape
from worker.objective import objective
from worker.previews import preview
from worker.samples import Samples
from worker.searching import searching

from .conftest import SPEC


def pixels(uri):
    kind, _, data = uri.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(np.float32) / 255


def begun(samples, **changes):
    spec = SearchSpec.model_validate({**SPEC, "budget": {"epochs": 6, "batch_size": 256}, **changes})
    graph = spec.superstructure.graph(samples.shape.shape, output_shape(spec.task, samples.shape))
    task = objective(spec.task, None)
    known = {"seed": 3, "device": torch.device("cpu"), "crops": None, "tiling": None}
    return searching("search", graph, spec, task, samples, **known)


def test_they_come_seldom_and_show_what_the_network_makes():
    samples = Samples(load("digits", None))
    watched, alone = begun(samples), begun(samples)
    seen = {}
    for epoch in range(1, 7):
        for training in (watched, alone):
            training.run_epoch(lambda: None)
        seen[epoch] = preview("search", watched, epoch)
    assert [epoch for epoch, one in seen.items() if one] == [1, 2, 4, 6]
    assert [epoch for epoch, one in seen.items() if one and one.input] == [1]
    assert seen[6].psnr > seen[1].psnr

    first = seen[1]
    truth = samples.splits["validation"].batch(torch.arange(4))[0][:, 0]
    assert first.count == 4
    assert pixels(first.truth) == pytest.approx(torch.cat(list(truth), 1).numpy(), abs=1 / 255)
    assert np.abs(pixels(first.input) - pixels(first.truth)).mean() > 0.05
    assert pixels(seen[6].output).shape == (8, 32)

    watched.settle()
    alone.settle()
    for ours, theirs in zip(watched.network.parameters(), alone.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_where_the_output_is_no_picture_there_is_none():
    training = begun(Samples(load("digits", None)), task={"kind": "classify"})
    training.run_epoch(lambda: None)
    assert preview("search", training, 1) is None
