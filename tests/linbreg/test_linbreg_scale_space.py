"""The inverse scale space of an image: what is large comes first, and noise last."""

import numpy as np
import torch
from scipy.optimize import minimize

from bench.inverse_scale_space import TotalVariation, adjoint, gradient
from linbreg import LinBreg

from .cases import tensors


def test_the_prox_of_the_total_variation_is_that_of_its_dual_programme():
    # given a small image, not square, and min ½‖x − ∇ᵀq‖² over fields q with |q| ≤ sλ in every pixel
    x = np.random.default_rng(0).standard_normal((4, 3))
    weight = 0.3
    operator = np.stack([adjoint(unit.view(4, 3, 2)).numpy().ravel() for unit in torch.eye(24, dtype=torch.float64)], 1)

    def dual(q):
        rest = x.ravel() - operator @ q
        return rest @ rest / 2, -operator.T @ rest

    found = minimize(
        dual,
        np.zeros(24),
        jac=True,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda q: weight**2 - (q.reshape(-1, 2) ** 2).sum(1)},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert found.success

    # then its u = x − ∇ᵀq is ours, and the gradient and its adjoint belong together
    (ours,) = TotalVariation(0.6, accuracy=1e-6).prox(tensors([x]), 0.5)
    assert np.abs(ours.numpy().ravel() - (x.ravel() - operator @ found.x)).max() <= 1e-5
    u, q = torch.tensor(x), torch.randn(4, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert abs(float((gradient(u) * q).sum() - (u * adjoint(q)).sum())) <= 1e-12


def test_an_image_starts_constant_and_its_large_square_comes_before_the_small_one():
    # given two squares of one brightness, and noise
    clean = torch.zeros(24, 24, dtype=torch.float64)
    clean[2:14, 2:14] = 1.0
    clean[17:20, 17:20] = 1.0
    noisy = clean + 0.1 * torch.randn(24, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = torch.nn.Parameter(torch.full_like(noisy, float(noisy.mean())))
    optimizer = LinBreg([{"params": [u], "regularizer": TotalVariation(0.5)}], lr=0.2)

    # when it is grown from a constant
    path = [u.detach().clone()]
    for _ in range(150):
        u.grad = u.detach() - noisy
        optimizer.step()
        path.append(u.detach().clone())

    def first(where):
        """The step in which a square stands out from what surrounds it by half its height."""
        return next(k for k, now in enumerate(path) if now[where].mean() - now[20:, :10].mean() > 0.5)

    large, small = first((slice(4, 12), slice(4, 12))), first((slice(17, 20), slice(17, 20)))
    assert 0 < large < small

    # then where the residual is as large as the noise both are there, and nearer to the truth than at either end
    errors = [float((now - clean).square().mean().sqrt()) for now in path]
    stop = next(k for k, now in enumerate(path) if (now - noisy).square().mean().sqrt() <= 0.1)
    assert small <= stop < 150
    assert errors[stop] < 0.5 * min(errors[0], errors[-1])
    assert errors[-1] > 0.9 * float((noisy - clean).square().mean().sqrt())
