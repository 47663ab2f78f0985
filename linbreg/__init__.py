"""Linearised Bregman iterations for PyTorch: start sparse, and let the loss switch on what it needs.

    from linbreg import AdaBreg, GroupL1, sparse_rows_

    for layer in hidden:
        sparse_rows_(layer.weight, layer.bias, density=0.05)
    optimizer = AdaBreg(
        [{"params": [layer.weight, layer.bias], "regularizer": GroupL1(lam=0.07, joint=True)} for layer in hidden]
        + [{"params": head.parameters()}],
        lr=1e-3,
    )

The method is that of Bungert, Roith, Tenbrinck and Burger, *A Bregman Learning Framework for Sparse Neural
Networks*, JMLR 23(192), 2022.
"""

from linbreg.adabreg import AdaBreg
from linbreg.bregman import BregmanOptimizer
from linbreg.budget import quantile_lams
from linbreg.counts import Sparsity, sparsity
from linbreg.groups import GroupL1, KernelGroupL1
from linbreg.initialization import sparse_rows_
from linbreg.l1 import L1
from linbreg.lasso import LassoAdam, LassoSGD
from linbreg.linbreg import LinBreg
from linbreg.nuclear import Nuclear
from linbreg.optimizer import RegularizedOptimizer
from linbreg.proximal import ProxAdam, ProxSGD
from linbreg.regularizer import Regularizer
from linbreg.rows import Rows
from linbreg.schedule import LambdaSchedule
from linbreg.serialization import pack_state, unpack_state

__all__ = [
    "L1",
    "AdaBreg",
    "BregmanOptimizer",
    "GroupL1",
    "KernelGroupL1",
    "LambdaSchedule",
    "LassoAdam",
    "LassoSGD",
    "LinBreg",
    "Nuclear",
    "ProxAdam",
    "ProxSGD",
    "RegularizedOptimizer",
    "Regularizer",
    "Rows",
    "Sparsity",
    "pack_state",
    "quantile_lams",
    "sparse_rows_",
    "sparsity",
    "unpack_state",
]
