"""Where do sleeping weights live? In the dual, which a Bregman step moves instead of the parameters."""

from typing import Any

import torch
from torch import Tensor

from linbreg.optimizer import RegularizedOptimizer, check_number
from linbreg.regularizer import Regularizer


class BregmanOptimizer(RegularizedOptimizer):
    r"""Moves the dual v ∈ ∂J_δ(θ) and writes θ = prox_{δJ}(δv), with the elastic net J_δ(θ) = J(θ) + ‖θ‖²/(2δ).

    The dual of a parameter is
    ``optimizer.state[param]["dual"]``, of its shape and dtype, for *every* parameter and also where it sleeps:
    there it gathers gradients until the group wakes. The parameters are an output: what else writes into them is
    undone by the next step, unless :meth:`reset_dual` is called.

    λ and δ may change while training. The dual is kept, and the next step or :meth:`apply_prox` writes the new θ.
    """

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_number("delta", group["delta"], 0.0, above=True)

    def _init_state(self, group: dict[str, Any]) -> None:
        self._start(group)

    @torch.no_grad()
    def apply_prox(self) -> None:
        """Write θ = prox_{δJ}(δv) into all parameters: after λ, δ or a dual was changed by hand."""
        for group in self.param_groups:
            self._write(group, group["params"])

    @torch.no_grad()
    def reset_dual(self) -> None:
        """Start every dual from its parameter as it is now: after the parameters were changed by hand."""
        for group in self.param_groups:
            self._start(group)

    def _duals(self, params: list[Tensor]) -> list[Tensor]:
        return [self.state[param]["dual"] for param in params]

    def _start(self, group: dict[str, Any]) -> None:
        duals = first_duals(group["params"], group["regularizer"], group["delta"])
        for param, dual in zip(group["params"], duals, strict=True):
            self.state[param]["dual"] = dual

    def _write(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """θ = prox_{δJ}(δv) = δ·prox_J(v)."""
        regularizer: Regularizer | None = group["regularizer"]
        if regularizer is not None:
            if regularizer.joint:
                params = group["params"]
            regularizer.prox_into(params, self._duals(params), 1.0, scale=group["delta"])
            return
        torch._foreach_copy_(params, self._duals(params))
        if group["delta"] != 1.0:
            torch._foreach_mul_(params, group["delta"])


@torch.no_grad()
def first_duals(params: list[Tensor], regularizer: Regularizer | None, delta: float) -> list[Tensor]:
    """v₀ = θ₀/δ + p₀ with p₀ ∈ ∂J(θ₀), so that prox_{δJ}(δv₀) = θ₀ and exactly the zeros of θ₀ sleep."""
    # In float64 on the CPU, once: a group much smaller than its threshold would lose its size to rounding.
    wide = [param.detach().to("cpu", torch.float64) for param in params]
    sums = [param / delta for param in wide]
    if regularizer is not None:
        torch._foreach_add_(sums, regularizer.sub_gradient(wide))
    duals = [torch.empty_like(param).copy_(dual) for param, dual in zip(params, sums, strict=True)]
    if regularizer is not None:
        _keep_awake(params, duals, regularizer)
    return duals


def _keep_awake(params: list[Tensor], duals: list[Tensor], regularizer: Regularizer) -> None:
    """Lift the dual of a group that is alive but so small that its dual was rounded to the threshold."""
    for lift in (4, 16, 64, 256):
        lost = [(param != 0) & (theta == 0) for param, theta in zip(params, regularizer.prox(duals), strict=True)]
        if not any(bool(mask.any()) for mask in lost):
            return
        for dual, mask in zip(duals, lost, strict=True):
            dual.copy_(torch.where(mask, dual * (1 + lift * torch.finfo(dual.dtype).eps), dual))
