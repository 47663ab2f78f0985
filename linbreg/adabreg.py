"""Adam on the dual."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.optimizer import ParamsT

from linbreg.bregman import BregmanOptimizer
from linbreg.optimizer import check_number, has_fused


class AdaBreg(BregmanOptimizer):
    r"""Implements AdaBreg, linearised Bregman iterations with the step of Adam.

    .. math::
       \begin{aligned}
            &\textbf{input} : \tau \text{ (lr)}, \: \delta \text{ (delta)}, \: \beta_1, \beta_2 \text{ (betas)},
                \: \epsilon \text{ (eps)}, \: \mu \text{ (weight decay)}, \: J \text{ (regularizer)},
                \: L(\theta) \text{ (loss)}                                                              \\
            &\textbf{initialize} : v_0 \leftarrow \theta_0/\delta + p_0 \text{ with } p_0 \in \partial J(\theta_0),
                \: m_0 \leftarrow 0, \: s_0 \leftarrow 0                                                 \\
            &\textbf{for} \: t=1 \: \textbf{to} \: \ldots \: \textbf{do}                                 \\
            &\hspace{5mm} g_t \leftarrow \nabla L_t(\theta_{t-1}) + \mu\theta_{t-1}                      \\
            &\hspace{5mm} m_t \leftarrow \beta_1 m_{t-1} + (1-\beta_1) g_t                               \\
            &\hspace{5mm} s_t \leftarrow \beta_2 s_{t-1} + (1-\beta_2) g_t^2                             \\
            &\hspace{5mm} v_t \leftarrow v_{t-1} - \tau \, \frac{m_t/(1-\beta_1^t)}
                {\sqrt{s_t/(1-\beta_2^t)} + \epsilon}                                                    \\
            &\hspace{5mm} \theta_t \leftarrow \mathrm{prox}_{\delta J}(\delta v_t)
       \end{aligned}

    With J ≡ 0 and δ = 1 this is :class:`torch.optim.Adam`. Both bias corrections are there, as in the paper; the
    authors' published figures come from code that left out the first. It selects by the consistency of the
    signs of g and not by its size: noise alone wakes everything after about (λ/τ)² steps unless lr decays. A
    param group with a large ``eps`` (1) selects by size: where it outweighs √s the step is that of
    :class:`LinBreg` with momentum β₁. A few scalars, such as skips, want that.

    From `A Bregman Learning Framework for Sparse Neural Networks`__ (Bungert, Roith, Tenbrinck, Burger, JMLR
    23(192), 2022), Algorithm 3.

    Args:
        params: parameters, or param groups; each group may have a ``"regularizer"`` (without one: J ≡ 0) and
            settings of its own. The parameters are where they stay: move a model to its device first.
        lr: the step τ (default: 1e-3)
        delta: δ of the elastic net J_δ = J + ‖θ‖²/(2δ) (default: 1)
        betas: β₁ and β₂ (default: (0.9, 0.999))
        eps: ϵ (default: 1e-8)
        weight_decay: μ; it enters g, never v (default: 0)

    State: ``state[param]["dual"]``, ``"exp_avg"``, ``"exp_avg_sq"`` and ``"step"``, a float32 scalar.

    Example::

        >>> optimizer = AdaBreg([{"params": [weight, bias], "regularizer": GroupL1(lam=0.07, joint=True)}])

    __ https://jmlr.org/papers/v23/21-0545.html
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        delta: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "delta": delta, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_adam(group)

    def _init_state(self, group: dict[str, Any]) -> None:
        super()._init_state(group)
        for param in group["params"]:
            self.state[param].update(moments(param))

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        if group["weight_decay"] != 0:
            grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        adam_step(self._duals(params), grads, [self.state[param] for param in params], group)
        self._write(group, params)


def check_adam(group: dict[str, Any]) -> None:
    """Raise where settings of Adam make no sense."""
    if len(group["betas"]) != 2:
        raise ValueError(f"betas must be two numbers, got {group['betas']}")
    for name, beta in zip(("betas[0]", "betas[1]"), group["betas"], strict=True):
        check_number(name, beta, 0.0, 1.0)
    check_number("eps", group["eps"], 0.0)


def moments(param: Tensor) -> dict[str, Tensor]:
    """The state of Adam before its first step."""
    device = param.device if has_fused(param) else torch.device("cpu")
    return {
        "exp_avg": torch.zeros_like(param),
        "exp_avg_sq": torch.zeros_like(param),
        "step": torch.zeros((), dtype=torch.float32, device=device),
    }


def adam_step(
    points: list[Tensor], grads: list[Tensor], states: list[dict[str, Tensor]], group: dict[str, Any]
) -> None:
    """Move ``points`` by a step of Adam: PyTorch's own, fused where there is such a kernel."""
    fused = all(has_fused(point) for point in points)
    beta1, beta2 = group["betas"]
    adam(
        points,
        grads,
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [],
        [state["step"] for state in states],
        fused=fused,
        foreach=False,
        amsgrad=False,
        beta1=beta1,
        beta2=beta2,
        lr=group["lr"],
        weight_decay=0.0,
        eps=group["eps"],
        maximize=False,
    )
