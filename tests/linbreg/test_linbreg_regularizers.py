"""Values, subgradients and proxes, against loops in NumPy and against their definitions."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from linbreg import L1, GroupL1, KernelGroupL1, Nuclear

from . import oracle
from .cases import far, kinds, layers, seeds, sleepy, small, tensors

lams = st.sampled_from([0.0, 0.05, 0.4, 3.0])
shapes_of_any_layer = st.one_of(layers, st.tuples(small, small, small, small).map(lambda s: [s, s]))


@settings(max_examples=60, deadline=None)
@given(shapes_of_any_layer, seeds, lams, st.floats(0.1, 2.0))
def test_value_prox_sub_gradient_and_active_follow_the_formulas(shapes, seed, lam, step):
    for groups, make in kinds(shapes).values():
        # given tensors in which some groups sleep
        arrays = sleepy(shapes, groups, seed)
        params, regularizer = tensors(arrays), make(lam)

        # then all four are those of the loops
        assert abs(float(regularizer.value(params)) - oracle.value(arrays, groups, lam)) <= 1e-10
        assert far(regularizer.prox(params, step), oracle.prox(arrays, groups, step * lam)) <= 1e-10
        assert far(regularizer.sub_gradient(params), oracle.sub_gradient(arrays, groups, lam)) <= 1e-10
        masks = torch.cat([mask.flatten() for mask in regularizer.active(params)])
        assert masks.tolist() == [any(arrays[t].ravel()[at].any() for t, at in group) for group in groups]

        # and in place, or scaled into other tensors, the prox is the same
        into = [torch.empty_like(param) for param in params]
        regularizer.prox_into(into, params, step, scale=2.0)
        assert far(into, [2 * x for x in oracle.prox(arrays, groups, step * lam)]) <= 1e-10
        regularizer.prox_(params, step)
        assert far(params, oracle.prox(arrays, groups, step * lam)) <= 1e-10


@settings(max_examples=12, deadline=None)
@given(st.tuples(small, small), seeds, st.sampled_from([0.2, 0.8]), st.floats(0.3, 1.5))
def test_a_prox_minimises_what_defines_it(shape, seed, lam, step):
    for regularizer in (L1(lam), GroupL1(lam), GroupL1(lam, dim=1), Nuclear(lam)):
        # given J(y) + ‖y − x‖²/(2s)
        x = np.random.default_rng(seed).standard_normal(shape)

        def objective(y, regularizer=regularizer, x=x):
            penalty = float(regularizer.value([torch.tensor(y.reshape(x.shape))]))
            return penalty + ((y.ravel() - x.ravel()) ** 2).sum() / (2 * step)

        # when SciPy looks for a minimum without gradients
        start = x.ravel() * 0.5
        found = minimize(objective, start, method="Powell", options={"xtol": 1e-9, "ftol": 1e-12, "maxiter": 500})

        # then it finds none below ours, nor is there one nearby
        (ours,) = regularizer.prox([torch.tensor(x)], step)
        lowest = objective(ours.numpy())
        assert lowest <= found.fun + 1e-9
        rng = np.random.default_rng(seed + 1)
        for size in (1e-1, 1e-3, 1e-5):
            assert lowest <= objective(ours.numpy() + size * rng.standard_normal(shape)) + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.tuples(small, small, small), seeds)
def test_nuclear_soft_thresholds_the_singular_values(shape, seed):
    # given a tensor that is a matrix of rank one at most, plus a full one
    rng = np.random.default_rng(seed)
    full = rng.standard_normal(shape)
    low = np.multiply.outer(rng.standard_normal(shape[0]), rng.standard_normal(shape[1:]))
    regularizer = Nuclear(0.3)

    assert far(regularizer.prox(tensors([full]), 2.0), [oracle.prox_nuclear(full, 0.6)]) <= 1e-10
    nuclear = np.linalg.norm(full.reshape(shape[0], -1), "nuc")
    assert float(regularizer.value(tensors([full]))) == pytest.approx(0.3 * nuclear)
    assert [int(mask.sum()) for mask in regularizer.active(tensors([low]))] == [1]

    # then the subgradient has the length λ in the one direction there is
    (gradient,) = regularizer.sub_gradient(tensors([low]))
    assert far([gradient], [0.3 * low / np.linalg.norm(low)]) <= 1e-10


@settings(max_examples=40, deadline=None)
@given(layers, seeds)
def test_a_sub_gradient_bounds_the_penalty_from_below_and_is_its_slope(shapes, seed):
    for groups, make in kinds(shapes).values():
        regularizer = make(0.7)
        params = [p.requires_grad_() for p in tensors(sleepy(shapes, groups, seed))]
        others = tensors(sleepy(shapes, groups, seed + 1, density=1.0))
        slopes = regularizer.sub_gradient(params)

        # J(y) ≥ J(θ) + ⟨p, y − θ⟩
        rise = sum((p * (y - x)).sum() for p, y, x in zip(slopes, others, params, strict=True))
        assert float(regularizer.value(others)) >= float((regularizer.value(params) + rise).detach()) - 1e-9

        # and the value can be differentiated, also where groups are zero: the lasso baseline does
        computed = torch.autograd.grad(regularizer.value(params), params)
        assert far(computed, [slope.numpy() for slope in slopes]) <= 1e-10


def test_a_channel_is_a_filter_and_of_a_transposed_convolution_the_second_dimension():
    # given one weight of each in which output channel 1 alone is alive
    conv = torch.nn.Conv2d(3, 4, 3).weight.detach()
    transposed = torch.nn.ConvTranspose2d(3, 4, 2).weight.detach()
    conv[[0, 2, 3]] = 0
    transposed[:, [0, 2, 3]] = 0

    expected = [False, True, False, False]
    assert GroupL1(0.1).active([conv])[0].tolist() == expected
    bias = torch.zeros(4)
    assert GroupL1(0.1, joint=True, dim=1).active([transposed, bias])[0].tolist() == expected

    # then the threshold counts n_in·k·k weights, and the bias where it belongs to the group
    for weight, regularizer, size in [
        ([conv], GroupL1(1.0), 27),
        ([transposed, bias], GroupL1(1.0, joint=True, dim=1), 13),
    ]:
        norm = float(weight[0].double().norm())
        assert float(regularizer.value(weight)) == pytest.approx(norm * size**0.5)
        barely, gone = 0.999 * norm / size**0.5, 1.001 * norm / size**0.5
        assert regularizer.active(regularizer.prox(weight, barely))[0].tolist() == expected
        assert not regularizer.active(regularizer.prox(weight, gone))[0].any()


def test_a_group_shrinks_to_exact_zeros_and_what_is_not_finite_shows():
    for regularizer in (L1(0.5), GroupL1(0.5), GroupL1(0.5, joint=True)):
        weight = torch.tensor([[0.1, -0.2], [0.0, 0.0], [3.0, 4.0], [float("nan"), 1.0]])
        bias = torch.zeros(4)
        shrunk, _ = regularizer.prox([weight, bias])
        assert torch.equal(shrunk[:2], torch.zeros(2, 2))
        assert shrunk[2].isfinite().all()
        assert shrunk[2].all()
        assert shrunk[3, 0].isnan()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_narrow_dtype_computes_its_norms_in_float32(dtype):
    # given numbers whose squares overflow float16, beside a bias in float32
    weight = torch.full((2, 3), 300.0, dtype=dtype)
    bias = torch.tensor([300.0, 300.0])
    norm = 600.0
    for regularizer, size in ((GroupL1(1.0), 3), (GroupL1(1.0, joint=True), 4)):
        of = norm if regularizer.joint else norm * (3 / 4) ** 0.5
        shrunk, other = regularizer.prox([weight, bias])
        assert (shrunk.dtype, other.dtype) == (dtype, torch.float32)
        assert float(shrunk[0, 0]) == pytest.approx(300 * (1 - size**0.5 / of), rel=1e-2)
        assert float(regularizer.value([weight, bias])) > 0


def test_memory_layout_makes_no_difference():
    weight = torch.randn(8, 4, 3, 3, dtype=torch.float64)
    last = weight.to(memory_format=torch.channels_last)
    for regularizer in (L1(0.1), GroupL1(0.1), GroupL1(0.1, dim=1), KernelGroupL1(0.1), Nuclear(0.1)):
        (plain,), (other,) = regularizer.prox([weight]), regularizer.prox([last])
        assert far([other], [plain.numpy()]) <= 1e-12
        assert other.stride() == last.stride()


@pytest.mark.parametrize("lam", [-0.1, float("nan"), float("inf")])
def test_a_senseless_lam_is_refused_at_birth_and_later(lam):
    for kind in (L1, GroupL1, Nuclear, KernelGroupL1):
        with pytest.raises(ValueError, match=f"{kind.__name__}: lam must be"):
            kind(lam)
        regularizer = kind(0.1)
        with pytest.raises(ValueError, match="lam must be"):
            regularizer.lam = lam
        assert regularizer.lam == 0.1


@pytest.mark.parametrize(
    ("regularizer", "shapes", "words"),
    [
        (GroupL1(0.1, joint=True), [(5, 3), (4,)], "equally many rows; shapes (5, 3), (4,) have [5, 4]"),
        (GroupL1(0.1, dim=2), [(5, 3)], "a tensor of shape (5, 3) has no dimension 2"),
        (GroupL1(0.1), [()], "has no dimension 0"),
        (KernelGroupL1(0.1), [(5, 3)], "a tensor of shape (5, 3) has no kernels"),
        (Nuclear(0.1), [(5,)], "a tensor of shape (5,) has no singular values"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_words(regularizer, shapes, words):
    params = [torch.ones(shape) for shape in shapes]
    for method in (regularizer.value, regularizer.prox, regularizer.sub_gradient, regularizer.active):
        with pytest.raises(ValueError, match=re.escape(words)):
            method(params)


def test_other_mistakes_are_refused_in_words():
    with pytest.raises(TypeError, match=r"write \[tensor\]"):
        GroupL1(0.1).value(torch.ones(3, 2))
    with pytest.raises(TypeError, match=r"floating point tensors, got torch\.int64"):
        L1(0.1).prox([torch.arange(3)])
    with pytest.raises(ValueError, match="step of a prox"):
        L1(0.1).prox([torch.ones(3)], step=-1.0)
    with pytest.raises(ValueError, match="dim must not be negative"):
        GroupL1(0.1, dim=-1)
    assert repr(GroupL1(0.1, joint=True)) == "GroupL1(lam=0.1, joint=True, dim=0)"
