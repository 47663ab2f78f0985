"""The authors' form: single kernels of convolutions beside single weights of linear layers, against NumPy."""

import math

import numpy as np
import torch

from linbreg import L1, KernelGroupL1, LinBreg

from . import oracle
from .cases import far, tensors

SHAPES = [(4, 3, 5, 5), (2, 4, 3, 3)]
LAM = 0.3


def awake(seed: int) -> list[np.ndarray]:
    """Convolutions in which about half of the kernels are 0."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) * (rng.random((*shape[:2], 1, 1)) < 0.5) for shape in SHAPES]


def test_a_kernel_is_weighted_by_the_root_of_its_own_size():
    arrays = awake(1)
    norms = [np.sqrt((array**2).sum(axis=(2, 3))) for array in arrays]
    expected = LAM * (5 * norms[0].sum() + 3 * norms[1].sum())
    assert math.isclose(float(KernelGroupL1(LAM).value(tensors(arrays))), expected, rel_tol=1e-12)
    masks = KernelGroupL1(LAM).active(tensors(arrays))
    assert [tuple(mask.shape) for mask in masks] == [(4, 3), (2, 4)]
    assert [int(mask.sum()) for mask in masks] == [int((norm > 0).sum()) for norm in norms]


def test_linbreg_over_kernels_and_single_weights_takes_the_steps_of_the_loops():
    """From a start that is asleep in part: the dual gives it back at once, then wakes and shrinks as the formulas."""
    rng = np.random.default_rng(2)
    convolutions, linear = awake(2), [rng.standard_normal((5, 7)) * (rng.random((5, 7)) < 0.4)]
    arrays = convolutions + linear
    goals = [rng.standard_normal(array.shape) for array in arrays]
    params = [torch.nn.Parameter(tensor) for tensor in tensors(arrays)]
    groups = [
        {"params": params[:2], "regularizer": KernelGroupL1(LAM)},
        {"params": params[2:], "regularizer": L1(LAM)},
    ]
    stepper = LinBreg(groups, lr=0.05, momentum=0.0)
    stepper.apply_prox()
    assert far([param.detach() for param in params], arrays) <= 1e-12, "the dual's prox is the start"

    over = oracle.kernels(SHAPES) + [[(2, at) for _, at in group] for group in oracle.entries([(5, 7)])]
    expected = oracle.linbreg(
        arrays, lambda thetas, t: oracle.gradients(thetas, goals, [1.0] * 20, t), 20, 0.05, 1.0, 0.0, over, LAM
    )
    for wanted in expected:
        stepper.zero_grad()
        sum(((param - torch.tensor(goal)) ** 2).sum() / 2 for param, goal in zip(params, goals, strict=True)).backward()
        stepper.step()
        assert far([param.detach() for param in params], wanted) <= 1e-10
    before, after = ([int((x != 0).sum()) for x in each] for each in (arrays, expected[-1]))
    assert all(now > then for now, then in zip(after, before, strict=True)), "some woke"
