"""Schedules, and the choice of what is kept."""

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from worker.training import Schedule


def test_the_plateau_halves_when_torchs_own_does():
    losses = [1.0, 0.9, 0.895, 0.894, 0.893, 0.8925, 0.892, 0.8915, 0.8, 0.799, *[0.799] * 14, 0.5]
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    oracle = ReduceLROnPlateau(optimizer, factor=0.5, patience=5, threshold=0.01)
    ours = Schedule("plateau", 0.1)
    for loss in losses:
        ours.epoch_ended(loss)
        oracle.step(loss)
        assert ours.lr(0, 1) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.factor <= 0.25


def test_cosines_end_near_nothing_and_begin_where_they_should():
    late = Schedule("cosine", 0.2)
    assert [late.lr(step, 100) for step in (0, 50)] == [0.2, 0.2]
    assert late.lr(75, 100) == pytest.approx(0.1)
    assert late.lr(99, 100) < 0.001
    warm = Schedule("warm cosine", 0.2)
    assert warm.lr(0, 1000) == pytest.approx(0.2 / 20, rel=0.01)
    assert warm.lr(500, 1000) == pytest.approx(0.1)
    assert warm.lr(999, 1000) < 1e-5
    assert all(math.isfinite(warm.lr(step, 7)) for step in range(7))
