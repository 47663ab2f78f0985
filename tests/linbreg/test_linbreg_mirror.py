"""With a smooth J LinBreg is mirror descent: ∇J_δ(θ⁺) = ∇J_δ(θ) − τ∇L(θ), iterate by iterate."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize

from linbreg import GroupL1, LinBreg, Regularizer

from .cases import far, parameters

STEPS = 25


class Smooth(Regularizer):
    """A penalty of the test, given by its prox of step 1 and its slope."""

    def __init__(self, prox: Callable, slope: Callable) -> None:
        super().__init__(1.0)
        self._prox, self._slope = prox, slope

    def value(self, params):
        raise NotImplementedError("no optimiser asks for it")

    def prox_into(self, out, params, step, scale=1.0):
        assert step * scale == 1.0, "these penalties are not homogeneous: δ = 1 alone"
        for to, param in zip(out, params, strict=True):
            to.copy_(self._prox(param))

    def sub_gradient(self, params):
        return [self._slope(param) for param in params]

    def active(self, params):
        return [param != 0 for param in params]


def quadratic(seed, n=6):
    """A loss of two vectors that is not separable: its gradient at (x, y)."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((8, 2 * n)), rng.standard_normal(8)

    def gradient(xs):
        return np.split(a.T @ (a @ np.concatenate(xs) - b), 2)

    return gradient, float(np.linalg.norm(a, 2)) ** 2, list(rng.standard_normal((2, n)))


def follow(optimizer, params, gradient):
    path = []
    for _ in range(STEPS):
        for param, g in zip(params, gradient([param.detach().numpy() for param in params]), strict=True):
            param.grad = torch.tensor(g)
        optimizer.step()
        path.append([param.detach().numpy().copy() for param in params])
    return path


@pytest.mark.parametrize("seed", range(3))
def test_with_a_quadratic_j_it_is_preconditioned_gradient_descent(seed):
    # given J = ½‖θ‖²_M, so that ∇J_δ(θ) = (M + I)θ
    gradient, lip, start = quadratic(seed)
    root = np.random.default_rng(seed + 9).standard_normal((6, 6))
    m = root @ root.T
    inverse = torch.tensor(np.linalg.inv(m + np.eye(6)))
    params = parameters(start)
    regularizer = Smooth(lambda v: inverse @ v, lambda x: torch.tensor(m) @ x)
    optimizer = LinBreg([{"params": params, "regularizer": regularizer}], lr=1 / lip)

    # then every iterate is θ − τ(M + I)⁻¹∇L(θ)
    expected = start
    for ours in follow(optimizer, params, gradient):
        moves = [np.linalg.solve(m + np.eye(6), g) for g in gradient(expected)]
        expected = [x - move / lip for x, move in zip(expected, moves, strict=True)]
        assert far([torch.tensor(x) for x in ours], expected) <= 1e-11


@pytest.mark.parametrize("width", [1.0, 0.1, 0.001])
def test_with_a_smoothed_l1_norm_it_is_mirror_descent(width):
    # given Huber's function, λ|x| outside [−w, w] and λx²/2w + λw/2 inside
    gradient, lip, start = quadratic(3)
    lam = 0.8

    def slope(x):
        return lam * (x / width).clip(-1, 1)

    def prox(v):
        return torch.where(v.abs() <= width + lam, v * (width / (width + lam)), v - lam * v.sign())

    def root(target):
        return brentq(lambda y: slope(np.float64(y)) + y - target, -50, 50, xtol=1e-14, rtol=1e-14)

    params = parameters(start)
    optimizer = LinBreg([{"params": params, "regularizer": Smooth(prox, slope)}], lr=1 / lip)

    # then every iterate solves the equation of mirror descent, entry by entry, as SciPy finds its root
    expected = start
    for ours in follow(optimizer, params, gradient):
        targets = [slope(x) + x - g / lip for x, g in zip(expected, gradient(expected), strict=True)]
        expected = [np.array([root(t) for t in target]) for target in targets]
        assert far([torch.tensor(x) for x in ours], expected) <= 1e-10


@pytest.mark.parametrize("delta", [0.5, 3.0])
def test_a_step_minimises_the_linear_model_plus_the_bregman_distance(delta):
    # given our own group norm where it is smooth, away from zero
    gradient, lip, start = quadratic(4)
    params = parameters([x.reshape(2, 3) for x in start])
    regularizer = GroupL1(0.2)
    lr = 1 / (delta * lip)
    optimizer = LinBreg([{"params": params, "regularizer": regularizer}], lr=lr, delta=delta)

    def flat(x):
        return [part.ravel() for part in x]

    def net(x):
        norms = np.linalg.norm(np.reshape(x, (4, 3)), axis=1)
        return 0.2 * np.sqrt(3) * norms.sum() + np.sum(x**2) / (2 * delta)

    def net_slope(x):
        rows = np.reshape(x, (4, 3))
        return (0.2 * np.sqrt(3) * rows / np.linalg.norm(rows, axis=1, keepdims=True)).ravel() + x / delta

    before = np.concatenate(start)
    for ours in follow(optimizer, params, lambda xs: [g.reshape(2, 3) for g in gradient(flat(xs))])[:5]:
        after = np.concatenate(flat(ours))
        assert np.linalg.norm(after.reshape(4, 3), axis=1).min() > 0.05

        # then θ⁺ = argmin τ⟨∇L(θ), y⟩ + D_{J_δ}(y, θ), and the slopes say the same to rounding
        g, slope = np.concatenate(gradient(np.split(before, 2))), net_slope(before)
        model = minimize(
            lambda y, g=g, slope=slope: lr * g @ y + net(y) - slope @ y,
            before,
            jac=lambda y, g=g, slope=slope: lr * g + net_slope(y) - slope,
            options={"gtol": 1e-10},
        )
        assert np.abs(after - model.x).max() <= 1e-7
        assert np.abs(net_slope(after) - slope + lr * g).max() <= 1e-12
        before = after
