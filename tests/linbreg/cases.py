"""Random tensors with sleeping groups, and each regulariser beside its groups in the oracle."""

import numpy as np
import torch
from hypothesis import strategies as st

from linbreg import L1, GroupL1, KernelGroupL1

from . import oracle

small = st.integers(1, 4)
seeds = st.integers(0, 2**31)
layers = st.one_of(
    st.tuples(small, small).map(lambda s: [s, s[:1]]),  # Linear and its bias
    st.tuples(small, small, small, small).map(lambda s: [s, s[:1]]),  # Conv2d and its bias
)


def kinds(shapes):
    """name -> (the groups in the oracle, what makes our regulariser)"""
    found = {
        "L1": (oracle.entries(shapes), L1),
        "GroupL1": (oracle.rows(shapes), GroupL1),
        "joint": (oracle.rows(shapes, joint=True), lambda lam: GroupL1(lam, joint=True)),
    }
    if all(len(shape) == 4 for shape in shapes):
        found["KernelGroupL1"] = (oracle.kernels(shapes), KernelGroupL1)
        found["dim=1"] = (oracle.rows(shapes, dim=1), lambda lam: GroupL1(lam, dim=1))
    return found


def sleepy(shapes, groups, seed, density=0.5):
    """Standard normal float64 arrays in which about half of the groups are exactly zero."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    for group in groups:
        if rng.random() > density:
            for t, at in group:
                arrays[t].ravel()[at] = 0.0
    return arrays


def tensors(arrays, dtype=torch.float64):
    return [torch.tensor(array, dtype=dtype) for array in arrays]


def parameters(arrays, dtype=torch.float64):
    return [torch.nn.Parameter(tensor) for tensor in tensors(arrays, dtype)]


def far(ours, theirs):
    """The largest difference."""
    return max(float(np.abs(a.detach().double().numpy() - b).max(initial=0)) for a, b in zip(ours, theirs, strict=True))
