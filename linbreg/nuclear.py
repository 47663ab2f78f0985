"""Low rank: the nuclear norm."""

from collections.abc import Sequence

import torch
from torch import Tensor

from linbreg.regularizer import Regularizer, total


class Nuclear(Regularizer):
    """λ Σσ_i, the sum of the singular values; its prox soft-thresholds them.

    Tensors of more than two dimensions are taken as matrices ``flatten(1)``. The groups are the singular values,
    in descending order. Zero singular values do not survive a product of floats exactly, so *active* means above
    rounding, as in ``torch.linalg.matrix_rank``. Every step costs one SVD for each tensor.
    """

    def value(self, params: Sequence[Tensor]) -> Tensor:
        """λ Σσ_i."""
        self.check(params)
        return self.lam * total([torch.linalg.svdvals(_matrix(param)).sum() for param in params])

    def prox_into(self, out: Sequence[Tensor], params: Sequence[Tensor], step: float, scale: float = 1.0) -> None:
        """Soft-threshold the singular values at step·λ."""
        for to, param in zip(out, params, strict=True):
            u, s, vh = torch.linalg.svd(_matrix(param), full_matrices=False)
            s = (s - step * self.lam).clamp_min_(0.0).mul_(scale)
            to.copy_(((u * s) @ vh).view(param.shape))

    @torch.no_grad()
    def sub_gradient(self, params: Sequence[Tensor]) -> list[Tensor]:
        """λUVᵀ over the singular vectors that are active."""
        self.check(params)
        gradients = []
        for param in params:
            u, s, vh = torch.linalg.svd(_matrix(param), full_matrices=False)
            gradient = self.lam * ((u * _above_rounding(s, param)) @ vh)
            gradients.append(gradient.view(param.shape).to(param.dtype))
        return gradients

    @torch.no_grad()
    def active(self, params: Sequence[Tensor]) -> list[Tensor]:
        """Masks over the singular values."""
        self.check(params)
        return [_above_rounding(torch.linalg.svdvals(_matrix(param)), param) for param in params]

    def check(self, params: Sequence[Tensor]) -> None:
        """Only matrices have singular values."""
        super().check(params)
        for param in params:
            if param.ndim < 2:
                raise ValueError(
                    f"{self} takes matrices, a tensor of shape {tuple(param.shape)} has no singular values: "
                    "give it a param group of its own"
                )


def _matrix(param: Tensor) -> Tensor:
    return param.flatten(1).to(torch.promote_types(param.dtype, torch.float32))


def _above_rounding(s: Tensor, param: Tensor) -> Tensor:
    eps = torch.finfo(param.dtype).eps
    return s > eps * max(_matrix(param).shape) * s.amax() if s.numel() else s > 0
