"""The rivals: proximal gradient steps, which move θ itself and know no dual."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from linbreg.adabreg import adam_step, check_adam, moments
from linbreg.linbreg import accumulate, descend, momentum_buffers
from linbreg.optimizer import RegularizedOptimizer, check_number


class ProxSGD(RegularizedOptimizer):
    r"""Implements the stochastic proximal gradient method (optionally with momentum).

    .. math::
       \begin{aligned}
            &m_t \leftarrow \beta m_{t-1} + (1-\beta)\tau g_t                                            \\
            &\theta_t \leftarrow \mathrm{prox}_{\tau J}(\theta_{t-1} - m_t)
       \end{aligned}

    Here a weight must earn τλ in *every* step to stay on; in :class:`LinBreg` it pays λ once. With J ≡ 0 and no
    momentum this is :class:`torch.optim.SGD`; momentum is that of :class:`LinBreg`. The baseline of
    `A Bregman Learning Framework for Sparse Neural Networks`__ (JMLR 23(192), 2022).

    Args:
        params: parameters, or param groups; each group may have a ``"regularizer"`` and settings of its own
        lr: the step τ, of the gradient and of the prox
        momentum: β (default: 0)
        weight_decay: μ; g ← g + μθ (default: 0)

    State: with momentum ``state[param]["momentum_buffer"]``.

    __ https://jmlr.org/papers/v23/21-0545.html
    """

    def __init__(self, params: ParamsT, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_number("momentum", group["momentum"], 0.0, 1.0)

    def _init_state(self, group: dict[str, Any]) -> None:
        if group["momentum"] != 0:
            momentum_buffers(self, group["params"])

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        if group["momentum"] != 0:
            buffers = momentum_buffers(self, params)
            accumulate(buffers, group, params, grads)
            torch._foreach_sub_(params, buffers)
        else:
            descend(params, group, params, grads)
        _prox(group, params)


class ProxAdam(RegularizedOptimizer):
    r"""Implements a step of Adam followed by the prox with the step τ.

    .. math::
       \theta_t \leftarrow \mathrm{prox}_{\tau J}\Big(\theta_{t-1}
            - \tau \, \frac{m_t/(1-\beta_1^t)}{\sqrt{s_t/(1-\beta_2^t)} + \epsilon}\Big)

    The prox is Euclidean, the simple choice: that in the metric of Adam's preconditioner, as in *Adaptive
    Proximal Gradient Methods for Structured Neural Networks* (Yun, Lozano, Yang, NeurIPS 2021), has no closed
    form for groups. With J ≡ 0 this is :class:`torch.optim.Adam`.

    Args:
        params: parameters, or param groups; each group may have a ``"regularizer"`` and settings of its own
        lr: the step τ, of Adam and of the prox (default: 1e-3)
        betas: β₁ and β₂ (default: (0.9, 0.999))
        eps: ϵ (default: 1e-8)
        weight_decay: μ; g ← g + μθ (default: 0)

    State: ``state[param]["exp_avg"]``, ``"exp_avg_sq"`` and ``"step"``, a float32 scalar.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_adam(group)

    def _init_state(self, group: dict[str, Any]) -> None:
        for param in group["params"]:
            self.state[param].update(moments(param))

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        if group["weight_decay"] != 0:
            grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        adam_step(params, grads, [self.state[param] for param in params], group)
        _prox(group, params)


def _prox(group: dict[str, Any], params: list[Tensor]) -> None:
    regularizer = group["regularizer"]
    if regularizer is not None:
        bound = group["params"] if regularizer.joint else params
        regularizer.prox_into(bound, bound, group["lr"])
