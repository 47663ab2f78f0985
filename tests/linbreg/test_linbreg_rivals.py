"""The talk's baselines: what the lasso and a scheduled λ do, and how much is on meanwhile."""

import math

import numpy as np
import pytest
import torch

from linbreg import L1, AdaBreg, GroupL1, LambdaSchedule, LassoAdam, LassoSGD, LinBreg, ProxAdam, ProxSGD, sparsity

from . import oracle
from .cases import far, parameters


def lasso_problem(seed=0):
    """½‖Ax − b‖² with three true entries of twenty, noise, and the exact minimiser of it + λ‖x‖₁ by coordinates."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((60, 20)) / math.sqrt(60)
    truth = np.zeros(20)
    truth[[1, 5, 9]] = [1.0, -2.0, 1.5]
    b = a @ truth + 0.05 * rng.standard_normal(60)

    def minimiser(lam):
        x = np.zeros(20)
        for _ in range(100):
            for j in range(20):
                rest = a[:, j] @ (b - a @ x + a[:, j] * x[j])
                x[j] = np.sign(rest) * max(abs(rest) - lam, 0.0) / (a[:, j] @ a[:, j])
        return x

    return torch.tensor(a), torch.tensor(b), minimiser


@pytest.mark.parametrize("lam", [0.15, 0.4])
@pytest.mark.parametrize(
    ("method", "lr", "reach"),
    [(LassoSGD, 0.02, lambda lam: 2 * 0.02 * lam), (LassoAdam, 0.01, lambda lam: 0.01), (ProxSGD, 0.3, lambda lam: 0)],
    ids=["LassoSGD", "LassoAdam", "ProxSGD"],
)
def test_the_lasso_comes_near_its_minimiser_and_finds_no_zero_until_it_is_cut(method, lr, reach, lam):
    # given a minimiser with zeros, whose other entries are out of reach of the jumps about zero
    a, b, minimiser = lasso_problem()
    expected = minimiser(lam)
    asleep = torch.tensor(expected == 0)
    reach = reach(lam)
    assert 10 <= int(asleep.sum()) < 20
    assert np.abs(expected[expected != 0]).min() > 2 * reach
    (x,) = parameters([np.ones(20)])
    regularizer = L1(lam)
    optimizer = method([{"params": [x], "regularizer": regularizer}], lr=lr)

    # when the method runs for long
    gram, pull = a.T @ a, a.T @ b
    for _ in range(1500):
        x.grad = gram @ x.detach() - pull
        optimizer.step()

    # then it comes near; only the proximal method has zeros, the others jump as far as they say
    exact = method is ProxSGD
    assert far([x], [expected]) <= (1e-9 if exact else lr)
    assert float(x.detach()[asleep].abs().max()) <= reach
    assert int((x == 0).sum()) == (int(asleep.sum()) if exact else 0)

    # and a prox at the end cuts just the right ones
    assert sparsity(optimizer, step=reach / lam).active_groups == int((~asleep).sum())
    regularizer.prox_([x], step=reach / lam)
    assert torch.equal(x == 0, asleep)


@pytest.mark.parametrize("method", [lambda p: LassoSGD(p, lr=1.0), lambda p: LassoAdam(p, lr=0.1)])
def test_a_lasso_leaves_parameters_without_a_gradient_alone(method):
    # given a neuron whose bias has no gradient but belongs to the norm of its group
    weight, bias = parameters([np.array([[3.0, 0.0], [0.0, 0.0]]), np.array([4.0, 0.0])])
    optimizer = method([{"params": [weight, bias], "regularizer": GroupL1(lam=0.1, joint=True)}])
    weight.grad = torch.zeros_like(weight)
    optimizer.step()

    # then the bias stays, the weight is pulled by the group's slope, and a sleeping row by nothing
    assert bias.tolist() == [4.0, 0.0]
    assert weight[0, 1].item() == 0.0
    assert not weight[1].any()
    slope = 0.1 * math.sqrt(3) * 3 / 5
    pulled = 3.0 - slope if isinstance(optimizer, LassoSGD) else 2.9  # Adam's first step is its lr
    assert weight[0, 0].item() == pytest.approx(pulled, abs=1e-6)


def test_a_schedule_moves_lam_from_start_to_end_and_stays():
    # given one λ that two param groups share, and one that is another object
    first, second, third, free = parameters([np.ones((2, 2))] * 4)
    shared, own = GroupL1(9.0), L1(9.0)
    optimizer = ProxSGD(
        [
            {"params": [first], "regularizer": shared},
            {"params": [second], "regularizer": shared},
            {"params": [third], "regularizer": own},
            {"params": [free]},
        ],
        lr=0.1,
    )
    formulas = {
        "linear": lambda t: 0.8 * (1 - t) + 0.05 * t,
        "geometric": lambda t: 0.8 * (0.05 / 0.8) ** t,
        "cosine": lambda t: 0.05 + 0.75 * math.cos(math.pi * t / 2) ** 2,
    }
    for shape, formula in formulas.items():
        schedule = LambdaSchedule(optimizer, start=0.8, end=0.05, steps=10, shape=shape)
        for k in range(13):
            assert shared.lam == own.lam == pytest.approx(formula(min(k / 10, 1.0)), rel=1e-12)
            schedule.step()
        assert shared.lam == 0.05


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape": "exponential"}, "shape must be one of linear, geometric, cosine"),
        ({"start": -0.1}, "start must be at least 0"),
        ({"end": float("nan")}, "end must be"),
        ({"end": 0.0, "shape": "geometric"}, "end must be greater than 0"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_senseless_schedules_are_refused_before_lam_moves(settings, words):
    regularizer = L1(0.3)
    optimizer = ProxAdam([{"params": [torch.nn.Parameter(torch.ones(3))], "regularizer": regularizer}])
    with pytest.raises(ValueError, match=words):
        LambdaSchedule(optimizer, **{"start": 1.0, "end": 0.1, "steps": 5, **settings})
    assert regularizer.lam == 0.3


def test_a_scheduled_prox_wakes_what_lam_lets_through_and_ends_at_the_lasso():
    # given proximal gradient steps from zero under a λ that nothing passes, falling
    a, b, minimiser = lasso_problem()
    (x,) = parameters([np.zeros(20)])
    start = float((a.T @ b).abs().max())
    optimizer = ProxSGD([{"params": [x], "regularizer": L1(1.0)}], lr=0.2)
    schedule = LambdaSchedule(optimizer, start=start, end=0.05, steps=400, shape="geometric")
    shares = []
    for _ in range(1000):
        x.grad = a.T @ (a @ x.detach() - b)
        optimizer.step()
        schedule.step()
        shares.append(sparsity(optimizer).weight_share)

    # then it starts asleep, wakes the largest entries first, and forgets its path: the end is the last λ's lasso
    assert shares[0] == 0.0
    assert 0 < shares[100] <= 3 / 20
    assert far([x], [minimiser(0.05)]) <= 1e-9


def test_a_schedule_on_a_bregman_optimiser_keeps_the_dual():
    (x,) = parameters([np.array([[3.0, 4.0], [0.0, 0.0]])])
    optimizer = LinBreg([{"params": [x], "regularizer": GroupL1(0.1)}], lr=0.1)
    dual = optimizer.state[x]["dual"].clone()
    schedule = LambdaSchedule(optimizer, start=0.1, end=1.0, steps=2)
    for lam in (0.1, 0.55, 1.0):
        x.grad = torch.zeros_like(x)
        optimizer.step()
        assert torch.equal(optimizer.state[x]["dual"], dual)
        assert far([x], oracle.prox([dual.numpy()], oracle.rows([(2, 2)]), lam)) <= 1e-12
        schedule.step()


def test_sparsity_counts_groups_and_weights_where_there_is_a_regulariser():
    # given a layer with its biases, a vector of single weights, and a head that is not searched
    weight = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    params = parameters([weight, np.array([0.0, 0.0, 0.5, 0.0]), np.array([0.0, 3.0]), np.ones(7)])
    optimizer = AdaBreg(
        [
            {"params": params[:2], "regularizer": GroupL1(0.1, joint=True)},
            {"params": params[2:3], "regularizer": L1(0.1)},
            {"params": params[3:]},
        ]
    )

    # then a neuron is on where its weights or its bias are
    counts = sparsity(optimizer)
    assert (counts.groups, counts.active_groups) == (6, 3)
    assert (counts.weights, counts.active_weights) == (18, 4)
    assert counts.group_share == 0.5
    assert counts.weight_share == pytest.approx(4 / 18)

    # and where a prox would leave it: of norm √5, 0.5 and 3, against 0.1·√4 and 0.1 times the step
    assert sparsity(optimizer, step=3.0).active_groups == 2
    assert sparsity(optimizer, step=20.0).active_groups == 1
    assert params[1][2].item() == 0.5

    # nothing regularised is all on
    assert sparsity(LinBreg(params[3:], lr=0.1)).group_share == 1.0
