"""Sparse single weights: the ℓ1 norm."""

from collections.abc import Sequence

import torch
from torch import Tensor

from linbreg.regularizer import Regularizer, total


class L1(Regularizer):
    r"""λ Σ\|θ_i\|, with the prox sign(x)·max(\|x\| − sλ, 0), the soft threshold.

    Every entry is a group of its own. It removes weights, and hardly ever a whole neuron: for those take
    :class:`GroupL1`.
    """

    def value(self, params: Sequence[Tensor]) -> Tensor:
        """λ Σ|θ_i|."""
        self.check(params)
        return self.lam * total([param.abs().sum() for param in params])

    def prox_into(self, out: Sequence[Tensor], params: Sequence[Tensor], step: float, scale: float = 1.0) -> None:
        """Soft-threshold every entry at step·λ."""
        for to, param in zip(out, params, strict=True):
            torch.ops.aten.softshrink.out(param, step * self.lam, out=to)
        if scale != 1.0:
            torch._foreach_mul_(list(out), scale)

    @torch.no_grad()
    def sub_gradient(self, params: Sequence[Tensor]) -> list[Tensor]:
        """λ sign(θ)."""
        self.check(params)
        return [self.lam * param.sign() for param in params]

    @torch.no_grad()
    def active(self, params: Sequence[Tensor]) -> list[Tensor]:
        """Masks shaped like the tensors."""
        self.check(params)
        return [param != 0 for param in params]
