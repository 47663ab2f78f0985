"""Sparse starts: how many live, how large they are, and that a seed fixes them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linbreg import sparse_rows_


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**31), st.data())
def test_at_least_the_minimum_lives_and_the_mask_tells_who(rows, columns, density, seed, data):
    minimum = data.draw(st.integers(0, rows))
    weight, bias = torch.full((rows, columns), 7.0), torch.full((rows,), 7.0)
    live = sparse_rows_(weight, bias, density=density, minimum=minimum, generator=seeded(seed))
    assert live.dtype == torch.bool
    assert int(live.sum()) >= minimum
    assert torch.equal((weight != 0).any(dim=1), live)
    assert torch.equal(bias != 0, live)


def test_the_numbers_have_the_published_distributions():
    # given a large layer and He's deviation times 5, bias range times 10
    weight, bias = torch.empty(4000, 50), torch.empty(4000)
    live = sparse_rows_(weight, bias, density=0.3, scale=5.0, bias_form="free", bias_scale=10.0, generator=seeded())
    assert float(live.float().mean()) == pytest.approx(0.3, abs=0.03)  # 4 standard deviations
    assert float(weight[live].std()) == pytest.approx(5 * math.sqrt(2 / 50), rel=0.02)
    assert float(weight[live].mean()) == pytest.approx(0, abs=0.02)
    assert not weight[~live].any()
    top = 10 / math.sqrt(50)
    assert float(bias.min()) >= 0
    assert float(bias.max()) < top
    assert float(bias.mean()) == pytest.approx(top / 2, rel=0.04)
    assert float(bias[~live].mean()) == pytest.approx(top / 2, rel=0.04)


def test_biases_have_three_forms():
    weights = torch.empty(200, 5)
    biases = {form: torch.empty(200) for form in ("grouped", "free", "zero")}
    masks = [sparse_rows_(weights, b, density=0.2, bias_form=form, generator=seeded()) for form, b in biases.items()]
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(biases["grouped"] != 0, masks[0])
    assert torch.equal(biases["grouped"][masks[0]], biases["free"][masks[0]])
    assert not biases["zero"].any()


def test_a_seed_fixes_the_start_for_every_dtype_and_densities_are_nested():
    starts = {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        weight, bias = torch.empty(60, 7, dtype=dtype), torch.empty(60, dtype=dtype)
        starts[dtype] = (sparse_rows_(weight, bias, density=0.2, generator=seeded()), weight, bias)
    live, weight, bias = starts[torch.float64]
    for dtype, (other_live, other_weight, other_bias) in starts.items():
        assert torch.equal(other_live, live)
        assert torch.equal(weight.to(dtype), other_weight)
        assert torch.equal(bias.to(dtype), other_bias)
    wider = torch.empty(60, 7)
    more = sparse_rows_(wider, density=0.6, generator=seeded())
    assert bool((more | ~live).all())
    assert torch.equal(wider[live].double(), weight[live])
    assert bool(sparse_rows_(wider, density=1.0, generator=seeded()).all())


def test_channels_of_both_convolutions_are_groups():
    conv, transposed = torch.nn.Conv2d(16, 50, 3), torch.nn.ConvTranspose2d(16, 50, 3)
    live = sparse_rows_(conv.weight, conv.bias, density=0.5, generator=seeded())
    assert torch.equal((conv.weight != 0).any(dim=(1, 2, 3)), live)
    live = sparse_rows_(transposed.weight, transposed.bias, density=0.5, dim=1, generator=seeded())
    assert torch.equal((transposed.weight != 0).any(dim=(0, 2, 3)), live)
    alive = transposed.weight.detach()[:, live]
    assert float(alive.std()) == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"density": 1.5}, "density must be in"),
        ({"density": float("nan")}, "density must be in"),
        ({"density": 0.5, "minimum": 4}, "minimum must be between 0 and the 3 groups"),
        ({"density": 0.5, "scale": -1.0}, "scale must be"),
        ({"density": 0.5, "bias_form": "none"}, "bias_form must be one of grouped, free, zero"),
        ({"density": 0.5, "bias": torch.ones(2)}, r"the bias has shape \(2,\), the weight has 3 groups"),
        ({"density": 0.5, "dim": 2}, "no groups of inputs along dim=2"),
    ],
)
def test_bad_arguments_are_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        sparse_rows_(torch.ones(3, 2), **arguments)
