"""Tiles give what the whole image gives, and an evaluation counts every image alike, whatever its size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.network import Network, he_
from spec.task import Autoencode, Denoise, Segment
from spec.unet import Unet
from worker.objective import objective
from worker.samples import Split
from worker.seeds import stream
from worker.tiles import Tiling, run, tiling
from worker.training import evaluate


class Coarse(nn.Module):
    """Two 3×3 convolutions around a level of half the size: an input reaches 1 + 2 · 1 + 2 · 1 + 1 pixels at most."""

    def __init__(self, channels=1):
        super().__init__()
        torch.manual_seed(0)
        self.fine, self.coarse, self.head = (
            nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(8, channels, 1),
        )  # fmt: skip
        self.double()

    def forward(self, x):
        skip = F.silu(self.fine(x))
        low = F.silu(self.coarse(F.max_pool2d(skip, 2, ceil_mode=True)))
        up = F.interpolate(low, scale_factor=2, mode="bilinear")[:, :, : x.shape[2], : x.shape[3]]
        return self.head(torch.cat([skip, up], 1))


REACH = 1 + 1 + 2 + 2


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 70), width=st.integers(1, 70), pixels=st.integers(1, 1200), seed=st.integers(0, 99))
def test_tiles_equal_the_whole(height, width, pixels, seed):
    network = Coarse().requires_grad_(False)
    x = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tiled = run(network, x, Tiling(REACH, stride=2, pixels=pixels))
    assert float((tiled - network(x)).abs().max()) < 1e-12


@settings(deadline=None, max_examples=30)
@given(
    up=st.sampled_from(["nearest", "bilinear", "transposed"]),
    levels=st.integers(1, 3),
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    pixels=st.integers(100, 3000),
)
def test_tiles_of_a_unet_equal_the_whole(up, levels, height, width, pixels):
    shape = (1, height, width)
    graph = Unet(kind="unet", levels=levels, base=3, convolutions=1, up=up).graph(shape, shape)
    network = he_(Network(graph), torch.Generator().manual_seed(levels)).double().requires_grad_(False)
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(width), dtype=torch.float64)
    how = replace(tiling(graph), pixels=pixels)
    assert float((run(network, x, how) - network(x)).abs().max()) < 1e-12


@pytest.mark.parametrize(("reach", "stride"), [(1, 2), (REACH, 1)])
def test_less_overlap_than_the_reach_or_a_shifted_grid_would_be_seen(reach, stride):
    network = Coarse().requires_grad_(False)
    x = torch.rand(1, 1, 61, 61, dtype=torch.float64)
    tiled = run(network, x, Tiling(reach, stride, pixels=27**2))
    assert float((tiled - network(x)).abs().max()) > 1e-6


def test_no_more_is_run_at_once_than_is_allowed():
    seen = []

    def network(x):
        seen.append(x.shape[2] * x.shape[3])
        return x

    x = torch.rand(1, 1, 300, 200)
    assert torch.equal(run(network, x, Tiling(reach=5, stride=4, pixels=60 * 60)), x)
    assert max(seen) <= 60 * 60
    assert len(seen) > 20


def of_sizes(sizes):
    random = torch.Generator().manual_seed(3)
    height, width = np.max(sizes, axis=0).tolist()
    x = torch.rand(len(sizes), 1, height, width, generator=random)
    return Split(x, (x[:, 0] > 0.5).to(torch.uint8), torch.tensor(sizes))


def test_images_of_different_sizes_count_alike():
    sizes = [(9, 20), (30, 12), (7, 7)]
    split, network = of_sizes(sizes), Coarse().float().requires_grad_(False)
    scores = evaluate(network, objective(Denoise(kind="denoise", sigma=0.1)), split, 5, "test")

    losses, psnrs = [], []
    for n, (height, width) in enumerate(sizes):
        clean = split.x[n : n + 1, :, :height, :width]
        noise = torch.randn(clean.shape, generator=stream(5, "test", n))
        error = (network(clean + 0.1 * noise) - clean).double().numpy() ** 2
        losses.append(error.mean())
        psnrs.append(-10 * np.log10(error.mean()))
    assert scores.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert scores.metric == pytest.approx(np.mean(psnrs), rel=1e-5)
    assert scores.more == {}


def test_tiles_and_few_images_at_once_do_not_change_the_scores():
    split = Split(torch.rand(9, 1, 33, 30, generator=torch.Generator().manual_seed(1)), None)
    network = Coarse().float().requires_grad_(False)
    task = objective(Autoencode(kind="autoencode"))
    whole = evaluate(network, task, split, 1, "test")
    for pixels in (400, 2 * 33 * 30, 10**6):
        tiled = evaluate(network, task, split, 1, "test", Tiling(REACH, 2, pixels))
        assert tiled.loss == pytest.approx(whole.loss, rel=1e-5)
        assert tiled.metric == pytest.approx(whole.metric, rel=1e-5)


def test_a_segmentation_is_scored_by_image_with_every_overlap_beside():
    split = of_sizes([(9, 20), (30, 12), (7, 7)])

    class ByLight(nn.Module):
        def forward(self, x):
            return torch.cat([0.6 - x, x - 0.6], 1)

    scores = evaluate(ByLight(), objective(Segment(kind="segment")), split, 1, "test")
    dice, iou = [], []
    for n, (h, w) in enumerate(split.sizes.tolist()):
        a, b = split.x[n, 0, :h, :w].numpy() > 0.6, split.y[n, :h, :w].numpy() == 1
        dice.append(2 * (a & b).sum() / (a.sum() + b.sum()))
        iou.append((a & b).sum() / (a | b).sum())
    assert scores.metric == scores.more["dice_1"] == pytest.approx(np.mean(dice))
    assert scores.more["iou"] == scores.more["iou_1"] == pytest.approx(np.mean(iou))
    assert set(scores.more) == {"iou", "iou_0", "iou_1", "dice_0", "dice_1"}
