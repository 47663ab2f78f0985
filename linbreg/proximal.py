"""The rivals that find zeros: proximal gradient steps."""

from typing import Any

from torch import Tensor

from linbreg.primal import AdamOptimizer, SGDOptimizer


class ProxSGD(SGDOptimizer):
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

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        self._move(group, params, grads)
        _prox(group, params)


class ProxAdam(AdamOptimizer):
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

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        self._move(group, params, grads)
        _prox(group, params)


def _prox(group: dict[str, Any], params: list[Tensor]) -> None:
    regularizer = group["regularizer"]
    if regularizer is not None:
        bound = group["params"] if regularizer.joint else params
        regularizer.prox_into(bound, bound, group["lr"])
