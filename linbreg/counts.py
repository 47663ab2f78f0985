"""How much of a network is on? Groups and weights that are not zero, counted over an optimiser."""

from dataclasses import dataclass

import torch

from linbreg.optimizer import RegularizedOptimizer
from linbreg.regularizer import Regularizer


@dataclass(frozen=True)
class Sparsity:
    """Counts over the param groups that have a regulariser."""

    groups: int
    active_groups: int
    weights: int
    active_weights: int

    @property
    def group_share(self) -> float:
        """Active groups by all of them; 1 where there are none."""
        return self.active_groups / self.groups if self.groups else 1.0

    @property
    def weight_share(self) -> float:
        """Weights that are not zero by all of them; 1 where there are none."""
        return self.active_weights / self.weights if self.weights else 1.0


@torch.no_grad()
def sparsity(optimizer: RegularizedOptimizer, step: float = 0.0) -> Sparsity:
    """Count what is on in the regularised param groups of ``optimizer``.

    Args:
        step: count after prox_{step·J}, without writing it: for :class:`LassoSGD` and :class:`LassoAdam`, which
            come close to zero and never reach it.
    """
    groups = active_groups = weights = active_weights = 0
    for group in optimizer.param_groups:
        regularizer: Regularizer | None = group["regularizer"]
        if regularizer is None:
            continue
        params = regularizer.prox(group["params"], step) if step else group["params"]
        masks = regularizer.active(params)
        groups += sum(mask.numel() for mask in masks)
        active_groups += sum(int(mask.sum()) for mask in masks)
        weights += sum(param.numel() for param in params)
        active_weights += sum(int(param.count_nonzero()) for param in params)
    return Sparsity(groups, active_groups, weights, active_weights)
