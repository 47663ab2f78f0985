"""The theorems on ½‖Ax − b‖², against SciPy: where LinBreg goes, how it gets there, and when to stop."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

from linbreg import L1, GroupL1, LinBreg, Nuclear

from .cases import parameters


def sparse_system(seed, rows=8, columns=20):
    """(A, x, b) with Ax = b, more unknowns than equations, and two entries of x that are not zero."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((rows, columns)) / np.sqrt(rows)
    x = np.zeros(columns)
    x[[2, 11]] = [1.5, -1.0]
    return a, x, a @ x


def lipschitz(a):
    return float(np.linalg.norm(a, 2)) ** 2


def linbreg_path(a, b, regularizer, steps, delta=1.0, share=0.5, start=None):
    """(x, v) before every step and after the last, of LinBreg with τ = share·2/(δ Lip) and full gradients."""
    (x,) = parameters([np.zeros(a.shape[1]) if start is None else start])
    lr = share * 2 / (delta * lipschitz(a))
    optimizer = LinBreg([{"params": [x], "regularizer": regularizer}], lr=lr, delta=delta)
    rows, right = torch.tensor(a), torch.tensor(b)

    def now():
        return x.detach().numpy().copy(), optimizer.state[x]["dual"].numpy().copy()

    path = [now()]
    for _ in range(steps):
        x.grad = (rows.T @ (rows @ x.detach().flatten() - right)).view_as(x)
        optimizer.step()
        path.append(now())
    return path, lr


def split_minimise(a, b, lam, delta):
    """argmin λ‖x‖₁ + ‖x‖²/(2δ) subject to Ax = b: a quadratic programme in x = u − w with u, w ≥ 0."""
    n = a.shape[1]
    start = np.linalg.pinv(a) @ b

    def objective(uw):
        x = uw[:n] - uw[n:]
        return lam * uw.sum() + x @ x / (2 * delta), lam + np.r_[x, -x] / delta

    found = minimize(
        objective,
        np.r_[np.maximum(start, 0), np.maximum(-start, 0)],
        jac=True,
        method="SLSQP",
        bounds=[(0, None)] * (2 * n),
        constraints={
            "type": "eq",
            "fun": lambda uw: a @ (uw[:n] - uw[n:]) - b,
            "jac": lambda uw: np.hstack([a, -a]),
        },
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return found.x[:n] - found.x[n:]


def basis_pursuit(a, b):
    """argmin ‖x‖₁ subject to Ax = b, as a linear programme."""
    n = a.shape[1]
    uw = linprog(np.ones(2 * n), A_eq=np.hstack([a, -a]), b_eq=b).x
    return uw[:n] - uw[n:]


def least_weight(a, x):
    """The least λδ for which x minimises ‖x‖₁ + ‖x‖²/(2λδ) subject to Ax = b, as a linear programme.

    x does so iff a multiplier p has Aᵀp = sign x + x/(λδ) where x is not zero and |Aᵀp| ≤ 1 elsewhere. Both are
    linear in p and in 1/(λδ), which is maximised.
    """
    rows, on = a.shape[0], np.abs(x) > 1e-9
    off = np.hstack([a[:, ~on].T, np.zeros((int((~on).sum()), 1))])
    found = linprog(
        np.r_[np.zeros(rows), -1.0],
        A_ub=np.vstack([off, -off]),
        b_ub=np.ones(2 * len(off)),
        A_eq=np.hstack([a[:, on].T, -x[on, None]]),
        b_eq=np.sign(x[on]),
        bounds=[(None, None)] * rows + [(0, None)],
    )
    return 1 / found.x[-1]


@pytest.mark.parametrize(("seed", "lam", "delta"), [(0, 1.0, 1.0), (1, 0.2, 1.0), (0, 0.5, 4.0), (3, 3.0, 0.5)])
def test_on_a_linear_system_linbreg_goes_to_the_elastic_net_of_least_value(seed, lam, delta):
    a, _, b = sparse_system(seed)
    path, _ = linbreg_path(a, b, L1(lam), steps=2000, delta=delta)
    limit = path[-1][0]
    expected = split_minimise(a, b, lam, delta)
    assert np.abs(a @ limit - b).max() <= 1e-7
    assert np.abs(limit - expected).max() <= 1e-6
    # and which it is depends on λ: it is not just any solution
    assert np.abs(limit - split_minimise(a, b, 3 * lam, delta)).max() >= 1e-2


@pytest.mark.parametrize("seed", [0, 3])
def test_above_a_threshold_of_lam_delta_it_is_the_l1_solution_whatever_lam_is(seed):
    # given the ℓ1 solution by a linear programme, and the least λδ for which it can be the limit
    a, truth, b = sparse_system(seed)
    expected = basis_pursuit(a, b)
    threshold = least_weight(a, expected)
    assert np.abs(expected - truth).max() <= 1e-9

    for lam in (0.1, 1.0, 10.0):
        # when λδ is half above it, then that is the limit; at half of it the limit is another
        above, _ = linbreg_path(a, b, L1(lam), steps=1200, delta=1.5 * threshold / lam)
        below, _ = linbreg_path(a, b, L1(lam), steps=1200, delta=0.5 * threshold / lam)
        assert np.abs(above[-1][0] - expected).max() <= 1e-7
        assert np.abs(a @ below[-1][0] - b).max() <= 1e-4
        assert np.abs(below[-1][0] - expected).max() >= 0.1


@pytest.mark.parametrize("delta", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("share", [0.3, 0.95])
@pytest.mark.parametrize(
    ("regularizer", "shape"),
    [(L1(1.0), (40,)), (GroupL1(0.3), (10, 4)), (Nuclear(1.0), (8, 5))],
    ids=["L1", "GroupL1", "Nuclear"],
)
def test_every_step_lowers_the_loss_by_what_the_theorem_says(regularizer, shape, share, delta):
    # given τ below 2/(δ Lip), from zero
    rng = np.random.default_rng(1)
    a = rng.standard_normal((15, 40))
    b = 3 * rng.standard_normal(15)
    path, lr = linbreg_path(a, b, regularizer, steps=200, delta=delta, share=share, start=np.zeros(shape))

    # then L(θ⁺) + D_J(θ⁺, θ)/τ + (2 − δτ Lip)/(2δτ)·‖θ⁺ − θ‖² ≤ L(θ), with D_J symmetric
    losses = [0.5 * np.sum((a @ x.ravel() - b) ** 2) for x, _ in path]
    gain = (2 - delta * lr * lipschitz(a)) / (2 * delta * lr)
    assert gain > 0
    for (x, v), (after, v_after), loss, lower in zip(path, path[1:], losses, losses[1:], strict=False):
        symmetric = np.sum((v_after - after / delta - v + x / delta) * (after - x))
        assert symmetric >= -1e-10
        assert lower + symmetric / lr + gain * np.sum((after - x) ** 2) <= loss * (1 + 1e-12)
    assert losses[-1] < 0.2 * losses[0]


def test_beyond_two_over_delta_lip_the_loss_may_rise():
    # given a start along the direction in which the loss is steepest
    a, _, _ = sparse_system(0)
    steepest = 3 * np.linalg.svd(a)[2][0]
    for share, falls in ((0.95, True), (1.1, False)):
        path, _ = linbreg_path(a, np.zeros(8), L1(0.01), steps=8, share=share, start=steepest)
        losses = [np.sum((a @ x) ** 2) for x, _ in path]
        assert all(after < before for before, after in pairwise(losses)) == falls
        assert (losses[-1] < losses[0]) == falls


def bregman_distance(target, x, v, value, delta):
    """Of the elastic net J_δ: J_δ(target) − J_δ(x) − ⟨v, target − x⟩, which is ≥ ‖target − x‖²/(2δ)."""
    net = [value(y) + np.sum(y**2) / (2 * delta) for y in (target, x)]
    return net[0] - net[1] - np.sum(v * (target - x))


@pytest.mark.parametrize("share", [0.3, 0.95])
@pytest.mark.parametrize("delta", [0.5, 3.0])
def test_the_bregman_distance_to_every_solution_falls(delta, share):
    # given data without noise; any solution will do: the sparse one and another
    a, truth, b = sparse_system(4)
    lam = 1.0
    path, _ = linbreg_path(a, b, L1(lam), steps=300, delta=delta, share=share)
    for target in (truth, np.linalg.pinv(a) @ b):
        distances = [bregman_distance(target, x, v, lambda y: lam * np.abs(y).sum(), delta) for x, v in path]

        # then it falls in every step, and bounds the distance that one sees
        assert all(after <= before + 1e-9 for before, after in pairwise(distances))
        assert distances[-1] < 0.7 * distances[0]
        for (x, _), distance in zip(path, distances, strict=True):
            assert distance >= np.sum((target - x) ** 2) / (2 * delta) - 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_with_noisy_data_stopping_at_the_noise_level_beats_the_limit(seed):
    # given noise of a known norm
    rng = np.random.default_rng(seed)
    a, truth, b = sparse_system(seed, rows=30, columns=60)
    noise = 0.1 * rng.standard_normal(30)
    lam, delta = 1.0, 10.0
    path, _ = linbreg_path(a, b + noise, L1(lam), steps=3000, delta=delta)
    residuals = [np.linalg.norm(a @ x - b - noise) for x, _ in path]
    errors = [np.linalg.norm(x - truth) for x, _ in path]
    distances = [bregman_distance(truth, x, v, lambda y: lam * np.abs(y).sum(), delta) for x, v in path]

    # when it stops as soon as the residual is as large as the noise (the discrepancy principle)
    stop = next(k for k, residual in enumerate(residuals) if residual <= np.linalg.norm(noise))
    assert residuals[-1] <= 0.2 * np.linalg.norm(noise)

    # then until there every step came nearer to the truth, and what follows fits the noise
    assert 0 < stop < len(path) // 2
    assert all(after <= before + 1e-9 for before, after in pairwise(distances[: stop + 1]))
    assert distances[-1] > 2 * distances[stop]
    assert errors[stop] < 0.6 * errors[-1]
    assert np.count_nonzero(path[stop][0]) < np.count_nonzero(path[-1][0]) / 2
