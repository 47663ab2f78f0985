"""Linearised Bregman iterations, with momentum if wanted."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from linbreg.bregman import BregmanOptimizer
from linbreg.optimizer import check_number


class LinBreg(BregmanOptimizer):
    r"""Implements stochastic linearised Bregman iterations (optionally with momentum).

    .. math::
       \begin{aligned}
            &\textbf{input} : \tau \text{ (lr)}, \: \delta \text{ (delta)}, \: \beta \text{ (momentum)},
                \: \mu \text{ (weight decay)}, \: J \text{ (regularizer)}, \: L(\theta) \text{ (loss)}      \\
            &\textbf{initialize} : v_0 \leftarrow \theta_0/\delta + p_0 \text{ with } p_0 \in \partial J(\theta_0),
                \: m_0 \leftarrow 0                                                                      \\
            &\textbf{for} \: t=1 \: \textbf{to} \: \ldots \: \textbf{do}                                 \\
            &\hspace{5mm} g_t \leftarrow \nabla L_t(\theta_{t-1}) + \mu\theta_{t-1}                      \\
            &\hspace{5mm} m_t \leftarrow \beta m_{t-1} + (1-\beta)\tau g_t                               \\
            &\hspace{5mm} v_t \leftarrow v_{t-1} - m_t                                                   \\
            &\hspace{5mm} \theta_t \leftarrow \mathrm{prox}_{\delta J}(\delta v_t)
       \end{aligned}

    With J ≡ 0, δ = 1 and no momentum this is :class:`torch.optim.SGD`. With momentum it is *not* SGD's
    ``momentum`` and ``dampening``, whose first buffer is undamped: here β m₀ + (1−β)τg₁ with m₀ = 0, and τ is
    inside, so that a new lr acts on new gradients alone. The loss of a smooth problem falls in every step for
    τ < 2/(δ Lip ∇L). Weight decay enters g and never v, where it would wear sleeping duals away.

    From `A Bregman Learning Framework for Sparse Neural Networks`__ (Bungert, Roith, Tenbrinck, Burger, JMLR
    23(192), 2022), Algorithms 1 and 2.

    Args:
        params: parameters, or param groups; each group may have a ``"regularizer"`` (without one: J ≡ 0) and
            settings of its own. The parameters are where they stay: move a model to its device first.
        lr: the step τ
        delta: δ of the elastic net J_δ = J + ‖θ‖²/(2δ) (default: 1)
        momentum: β (default: 0)
        weight_decay: μ (default: 0)

    State: ``state[param]["dual"]``, and with momentum ``"momentum_buffer"``.

    Example::

        >>> optimizer = LinBreg(
        ...     [{"params": [weight], "regularizer": GroupL1(lam=0.1)}, {"params": [bias]}], lr=0.1, momentum=0.9
        ... )

    __ https://jmlr.org/papers/v23/21-0545.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        delta: float = 1.0,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "delta": delta, "momentum": momentum, "weight_decay": weight_decay})

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_number("momentum", group["momentum"], 0.0, 1.0)

    def _init_state(self, group: dict[str, Any]) -> None:
        super()._init_state(group)
        if group["momentum"] != 0:
            momentum_buffers(self, group["params"])

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        duals = self._duals(params)
        if group["momentum"] != 0:
            buffers = momentum_buffers(self, params)
            accumulate(buffers, group, params, grads)
            torch._foreach_sub_(duals, buffers)
        else:
            descend(duals, group, params, grads)
        self._write(group, params)


def momentum_buffers(optimizer: Optimizer, params: list[Tensor]) -> list[Tensor]:
    """The buffers m of these parameters, 0 where there was none."""
    for param in params:
        if "momentum_buffer" not in optimizer.state[param]:
            optimizer.state[param]["momentum_buffer"] = torch.zeros_like(param)
    return [optimizer.state[param]["momentum_buffer"] for param in params]


def descend(points: list[Tensor], group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
    """points ← points − τ(g + μθ), without a copy of g."""
    lr, weight_decay = group["lr"], group["weight_decay"]
    if weight_decay != 0:
        torch._foreach_add_(points, params, alpha=-lr * weight_decay)
    torch._foreach_add_(points, grads, alpha=-lr)


def accumulate(buffers: list[Tensor], group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
    """m ← βm + (1−β)τ(g + μθ), without a copy of g."""
    beta, weight_decay = group["momentum"], group["weight_decay"]
    step = (1 - beta) * group["lr"]
    torch._foreach_mul_(buffers, beta)
    torch._foreach_add_(buffers, grads, alpha=step)
    if weight_decay != 0:
        torch._foreach_add_(buffers, params, alpha=step * weight_decay)
