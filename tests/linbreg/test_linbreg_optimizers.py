"""Every optimiser against the oracle over several steps, and against torch.optim where J ≡ 0."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linbreg import L1, AdaBreg, GroupL1, LassoAdam, LassoSGD, LinBreg, Nuclear, ProxAdam, ProxSGD

from . import oracle
from .cases import far, kinds, layers, parameters, seeds, sleepy

STEPS = 12


def follow(optimizer, params, targets, curvatures):
    """θ after every step on Σ c_t/2 ‖θ − target‖²."""
    path = []
    for curvature in curvatures:
        for param, target in zip(params, targets, strict=True):
            param.grad = curvature * (param.detach() - torch.tensor(target, dtype=param.dtype))
        optimizer.step()
        path.append([param.detach().clone() for param in params])
    return path


def task(shapes, groups, seed):
    rng = np.random.default_rng(seed)
    arrays = sleepy(shapes, groups, seed)
    targets = [2 * rng.standard_normal(shape) for shape in shapes]
    curvatures = rng.uniform(0.2, 1.5, STEPS)
    return arrays, targets, curvatures, lambda thetas, t: oracle.gradients(thetas, targets, curvatures, t)


def compare(ours, theirs):
    assert len(ours) == len(theirs) == STEPS
    assert max(far(a, b) for a, b in zip(ours, theirs, strict=True)) <= 1e-10


@settings(max_examples=30, deadline=None)
@given(
    layers,
    seeds,
    st.sampled_from([0.0, 0.1, 0.8]),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.sampled_from([0.0, 0.9]),
    st.sampled_from([0.0, 0.01]),
)
def test_the_gradient_methods_follow_the_formulas(shapes, seed, lam, delta, momentum, weight_decay):
    for groups, make in kinds(shapes).values():
        arrays, targets, curvatures, gradient = task(shapes, groups, seed)

        params = parameters(arrays)
        optimizer = LinBreg(
            [{"params": params, "regularizer": make(lam)}],
            lr=0.3,
            delta=delta,
            momentum=momentum,
            weight_decay=weight_decay,
        )
        expected = oracle.linbreg(arrays, gradient, STEPS, 0.3, delta, momentum, groups, lam, weight_decay)
        compare(follow(optimizer, params, targets, curvatures), expected)

        for rival, formula in ((ProxSGD, oracle.prox_sgd), (LassoSGD, oracle.lasso_sgd)):
            params = parameters(arrays)
            optimizer = rival(
                [{"params": params, "regularizer": make(lam)}], lr=0.3, momentum=momentum, weight_decay=weight_decay
            )
            expected = formula(arrays, gradient, STEPS, 0.3, momentum, groups, lam, weight_decay)
            compare(follow(optimizer, params, targets, curvatures), expected)


@settings(max_examples=30, deadline=None)
@given(
    layers,
    seeds,
    st.sampled_from([0.0, 0.1, 0.8]),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)]),
    st.sampled_from([0.0, 0.01]),
)
def test_the_adaptive_methods_follow_the_formulas(shapes, seed, lam, delta, betas, weight_decay):
    for groups, make in kinds(shapes).values():
        arrays, targets, curvatures, gradient = task(shapes, groups, seed)
        adam = {"lr": 0.1, "betas": betas, "eps": 1e-8, "weight_decay": weight_decay}

        params = parameters(arrays)
        optimizer = AdaBreg([{"params": params, "regularizer": make(lam)}], delta=delta, **adam)
        expected = oracle.adabreg(arrays, gradient, STEPS, delta=delta, groups=groups, lam=lam, **adam)
        compare(follow(optimizer, params, targets, curvatures), expected)

        for rival, formula in ((ProxAdam, oracle.prox_adam), (LassoAdam, oracle.lasso_adam)):
            params = parameters(arrays)
            optimizer = rival([{"params": params, "regularizer": make(lam)}], **adam)
            expected = formula(arrays, gradient, STEPS, groups=groups, lam=lam, **adam)
            compare(follow(optimizer, params, targets, curvatures), expected)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_a_regulariser_they_are_sgd_and_adam(dtype, weight_decay):
    arrays, targets, curvatures, _ = task([(4, 3), (4,)], [], seed=3)
    pairs = [
        (lambda p: LinBreg(p, lr=0.2, weight_decay=weight_decay), torch.optim.SGD, 0.2),
        (lambda p: ProxSGD(p, lr=0.2, weight_decay=weight_decay), torch.optim.SGD, 0.2),
        (lambda p: LassoSGD(p, lr=0.2, weight_decay=weight_decay), torch.optim.SGD, 0.2),
        (lambda p: AdaBreg(p, lr=0.05, weight_decay=weight_decay), torch.optim.Adam, 0.05),
        (lambda p: ProxAdam(p, lr=0.05, weight_decay=weight_decay), torch.optim.Adam, 0.05),
        (lambda p: LassoAdam(p, lr=0.05, weight_decay=weight_decay), torch.optim.Adam, 0.05),
    ]
    for make, rival, lr in pairs:
        ours, theirs = parameters(arrays, dtype), parameters(arrays, dtype)
        mine = follow(make(ours), ours, targets, curvatures)
        other = follow(rival(theirs, lr=lr, weight_decay=weight_decay), theirs, targets, curvatures)
        tolerance = 1e-10 if dtype == torch.float64 else 2e-6
        assert max(far(a, [x.double().numpy() for x in b]) for a, b in zip(mine, other, strict=True)) <= tolerance


@settings(max_examples=60, deadline=None)
@given(
    layers,
    seeds,
    st.sampled_from([0.01, 0.1, 5.0]),
    st.sampled_from([0.3, 1.0, 7.0]),
    st.sampled_from([1.0, 1e-4, 1e-9, 1e-15]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_the_dual_starts_so_that_its_prox_is_the_parameter(shapes, seed, lam, delta, size, dtype):
    for groups, make in kinds(shapes).values():
        # given weights of any size, far below the threshold too, and sleeping groups
        arrays = [size * x for x in sleepy(shapes, groups, seed)]
        params = parameters(arrays, dtype)
        before = [param.detach().clone() for param in params]

        # when the optimiser is made, nothing moves; when the prox is applied, next to nothing
        optimizer = AdaBreg([{"params": params, "regularizer": make(lam)}], delta=delta)
        assert all(torch.equal(a, b) for a, b in zip(params, before, strict=True))
        optimizer.apply_prox()
        roots = max(sum(len(at) for _, at in group) for group in groups) ** 0.5
        bound = 16 * torch.finfo(dtype).eps * (delta * lam * roots + size)
        assert far(params, [x.double().numpy() for x in before]) <= bound

        # then exactly those sleep that slept
        assert all(torch.equal(a != 0, b != 0) for a, b in zip(params, before, strict=True))


def test_the_nuclear_norm_starts_and_steps_too():
    # given a matrix of rank 2
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 2, dtype=torch.float64) @ torch.randn(2, 5, dtype=torch.float64))
    before, target = weight.detach().clone(), torch.randn(6, 5, dtype=torch.float64)
    optimizer = LinBreg([{"params": [weight], "regularizer": Nuclear(0.5)}], lr=0.1, delta=2.0)
    optimizer.apply_prox()
    assert far([weight], [before.numpy()]) <= 1e-12

    # when it takes a step
    u, _, vt = np.linalg.svd(before.numpy(), full_matrices=False)
    v = before.numpy() / 2 + 0.5 * u[:, :2] @ vt[:2]
    weight.grad = weight.detach() - target
    v = v - 0.1 * weight.grad.numpy()
    optimizer.step()

    # then it is that of the formula
    assert far([weight], [oracle.prox_nuclear(2 * v, 1.0)]) <= 1e-10


@pytest.mark.parametrize("make", [lambda p: LinBreg(p, lr=0.1, delta=2.0), lambda p: AdaBreg(p, delta=2.0)])
def test_a_change_of_lam_keeps_the_dual_and_moves_theta(make):
    # given a row that is on and one that sleeps
    weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64))
    regularizer = GroupL1(lam=0.1)
    optimizer = make([{"params": [weight], "regularizer": regularizer}])
    dual = optimizer.state[weight]["dual"].clone()

    # when λ rises beyond its dual, it sleeps; and comes back unharmed
    regularizer.lam = 100.0
    optimizer.apply_prox()
    assert not weight.any()
    assert torch.equal(optimizer.state[weight]["dual"], dual)
    regularizer.lam = 0.05
    optimizer.apply_prox()
    assert far([weight], oracle.prox([2 * dual.numpy()], oracle.rows([(2, 2)]), 2 * 0.05)) <= 1e-12

    # and the next step applies a new λ by itself, from the dual that was kept
    regularizer.lam = 100.0
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert not weight.any()
    assert torch.equal(optimizer.state[weight]["dual"], dual)


def test_parameters_without_a_gradient_stay_unless_their_group_moves():
    for joint in (False, True):
        # given a neuron whose bias has no gradient, and a gradient that sends the neuron to sleep
        weight = torch.nn.Parameter(torch.tensor([[0.3, 0.0], [2.0, 1.0]], dtype=torch.float64))
        bias = torch.nn.Parameter(torch.tensor([0.01, 0.5], dtype=torch.float64))
        unused = torch.nn.Parameter(torch.ones(3))
        regularizer = GroupL1(lam=0.1, joint=joint)
        groups = [{"params": [weight, bias], "regularizer": regularizer}, {"params": [unused]}]
        optimizer = LinBreg(groups, lr=1.0)
        dual = optimizer.state[bias]["dual"].clone()
        weight.grad = torch.tensor([[0.35, 0.0], [0.0, 0.0]], dtype=torch.float64)
        optimizer.step()

        # then the bias keeps its dual, and sleeps with its neuron only where it belongs to it
        assert torch.equal(optimizer.state[bias]["dual"], dual)
        assert not weight[0].any()
        assert (bias[0].item() == 0.0) == joint
        assert bias[1].item() == pytest.approx(0.5)
        assert torch.equal(unused, torch.ones(3))


def test_groups_have_their_own_settings_and_schedulers_work():
    first, second = parameters([np.ones((2, 2)), np.ones(3)])
    optimizer = LinBreg([{"params": [first], "lr": 1.0}, {"params": [second], "delta": 0.5}], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for _ in range(2):
        first.grad, second.grad = torch.ones_like(first), torch.ones_like(second)
        optimizer.step()
        scheduler.step()
    assert far([first, second], [np.full((2, 2), 1 - 1.5), np.full(3, 1 - 0.5 * 0.15)]) <= 1e-12


def test_a_dual_can_start_anew_from_weights_that_were_loaded():
    weight = torch.nn.Parameter(torch.zeros(3, 2))
    optimizer = LinBreg([{"params": [weight], "regularizer": L1(0.1)}], lr=0.1)
    with torch.no_grad():
        weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -2.0], [0.0, 0.0]]))
    before = weight.detach().clone()
    optimizer.reset_dual()
    optimizer.apply_prox()
    assert far([weight], [before.numpy()]) <= 1e-6


def test_a_closure_is_called_and_its_loss_returned():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = LinBreg([weight], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (weight**2).sum() / 2
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert torch.equal(weight.detach(), torch.full((2, 2), 0.5))


def test_mixed_dtypes_and_layouts_share_a_param_group():
    # given a weight in float32 laid out channels last, a gradient that is not, and a bias in float64
    torch.manual_seed(0)
    start = torch.randn(4, 3, 2, 2)
    grads = [torch.randn(4, 3, 2, 2), torch.randn(4, dtype=torch.float64)]
    regularizer = GroupL1(0.1, joint=True)
    results = []
    for layout in (torch.channels_last, torch.contiguous_format):
        weight = torch.nn.Parameter(start.clone(memory_format=layout))
        bias = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
        optimizer = AdaBreg([{"params": [weight, bias], "regularizer": regularizer}], lr=0.1)
        for _ in range(3):
            weight.grad, bias.grad = grads[0].clone(), grads[1].clone()
            optimizer.step()
        results.append([weight.detach(), bias.detach()])
    assert far(results[0], [x.double().numpy() for x in results[1]]) <= 1e-6


def test_a_gradient_that_is_not_finite_shows_in_the_parameters():
    for optimizer_of in (lambda p: LinBreg(p, lr=0.1), AdaBreg, lambda p: ProxSGD(p, lr=0.1), ProxAdam):
        weight = torch.nn.Parameter(torch.zeros(3, 2))
        optimizer = optimizer_of([{"params": [weight], "regularizer": GroupL1(0.1)}])
        weight.grad = torch.zeros(3, 2)
        weight.grad[1, 0] = float("nan")
        optimizer.step()
        assert weight[1].isnan().all()
        assert not weight[[0, 2]].any()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: LinBreg([p], lr=-1.0), ValueError, "lr must be at least 0"),
        (lambda p: LinBreg([p], lr=float("nan")), ValueError, "lr must be"),
        (lambda p: LinBreg([p], lr=torch.tensor(0.1)), TypeError, "lr must be a plain number"),
        (lambda p: LinBreg([p], lr=0.1, delta=0.0), ValueError, "delta must be greater than 0"),
        (lambda p: LinBreg([p], lr=0.1, momentum=1.0), ValueError, "momentum must be at least 0 and less than 1"),
        (lambda p: LinBreg([p], lr=0.1, weight_decay=-1), ValueError, "weight_decay must be"),
        (lambda p: AdaBreg([p], betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be"),
        (lambda p: AdaBreg([p], betas=(0.9,)), ValueError, "betas must be two numbers"),
        (lambda p: AdaBreg([p], eps=-1e-8), ValueError, "eps must be"),
        (lambda p: AdaBreg([{"params": [p], "regularizer": 0.1}]), TypeError, "must be a Regularizer"),
        (lambda p: AdaBreg([{"params": [p], "regulariser": L1(0.1)}]), ValueError, "did you mean 'regularizer'"),
        (
            lambda p: AdaBreg(
                [{"params": [p, torch.nn.Parameter(torch.ones(5))], "regularizer": GroupL1(0.1, joint=True)}]
            ),
            ValueError,
            "equally many rows",
        ),
        (lambda p: LinBreg([torch.ones(2, dtype=torch.complex64)], lr=0.1), TypeError, "real floating point"),
    ],
)
def test_senseless_settings_are_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        make(torch.nn.Parameter(torch.ones(3, 2)))


def test_a_refused_param_group_leaves_no_trace_and_sparse_gradients_are_refused():
    table = torch.nn.Embedding(4, 2, sparse=True)
    optimizer = LinBreg(table.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="delta"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "delta": -1.0})
    assert len(optimizer.param_groups) == 1
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse=False"):
        optimizer.step()
