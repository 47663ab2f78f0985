"""The rivals that find no zeros: descent on L + J, with a subgradient of J added to the gradient."""

from typing import Any

import torch
from torch import Tensor

from linbreg.primal import AdamOptimizer, SGDOptimizer


class LassoSGD(SGDOptimizer):
    r"""Implements subgradient descent on L + J (optionally with momentum).

    .. math::
       \begin{aligned}
            &m_t \leftarrow \beta m_{t-1} + (1-\beta)\tau (g_t + p_t), \: p_t \in \partial J(\theta_{t-1})  \\
            &\theta_t \leftarrow \theta_{t-1} - m_t
       \end{aligned}

    The lasso as a plain training minimises it. Unlike with :class:`ProxSGD` no weight becomes exactly zero: those
    that should be jump about zero, with full gradients by 2τλ at most. To cut them apply the prox at the end,
    ``regularizer.prox_(params, step=2 * lr)``. With J ≡ 0 and no momentum this is :class:`torch.optim.SGD`;
    momentum is that of :class:`LinBreg`.

    Args:
        params: parameters, or param groups; each group may have a ``"regularizer"`` and settings of its own
        lr: the step τ
        momentum: β (default: 0)
        weight_decay: μ; g ← g + μθ (default: 0)

    State: with momentum ``state[param]["momentum_buffer"]``.
    """

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        self._move(group, params, _with_slopes(group, params, grads))


class LassoAdam(AdamOptimizer):
    r"""Implements Adam on L + J.

    .. math::
       \theta_t \leftarrow \theta_{t-1} - \tau \, \frac{m_t/(1-\beta_1^t)}{\sqrt{s_t/(1-\beta_2^t)} + \epsilon}
            \quad \text{with the moments of } g_t + p_t, \: p_t \in \partial J(\theta_{t-1})

    No weight becomes exactly zero: those that should be jump about zero by about τ, whatever λ is. To cut them
    apply a prox with a step of about τ/λ at the end. Adam divides the pull of J by the size of the gradient too, so
    it pulls hardest where the gradients are small. With J ≡ 0 this is :class:`torch.optim.Adam`.

    Args:
        params: parameters, or param groups; each group may have a ``"regularizer"`` and settings of its own
        lr: the step τ (default: 1e-3)
        betas: β₁ and β₂ (default: (0.9, 0.999))
        eps: ϵ (default: 1e-8)
        weight_decay: μ; g ← g + μθ (default: 0)

    State: ``state[param]["exp_avg"]``, ``"exp_avg_sq"`` and ``"step"``, a float32 scalar.
    """

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        self._move(group, params, _with_slopes(group, params, grads))


def _with_slopes(group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """g + p for those ``params`` that have a gradient; p of a joint group looks at all its tensors."""
    regularizer = group["regularizer"]
    if regularizer is None:
        return grads
    bound = group["params"] if regularizer.joint else params
    pairs = zip(bound, regularizer.sub_gradient(bound), strict=True)
    slopes = [slope for param, slope in pairs if param.grad is not None]
    return list(torch._foreach_add(grads, slopes))
