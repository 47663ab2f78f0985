"""What do the rivals share? Steps of SGD and Adam that move θ itself and know no dual."""

from abc import ABC
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from linbreg.adabreg import adam_step, check_adam, moments
from linbreg.linbreg import accumulate, descend, momentum_buffers
from linbreg.optimizer import RegularizedOptimizer, check_number


class SGDOptimizer(RegularizedOptimizer, ABC):
    """θ ← θ − m with m ← βm + (1−β)τ(g + μθ), the momentum of :class:`LinBreg`."""

    def __init__(self, params: ParamsT, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def _check_group(self, group: dict[str, Any]) -> None:
        super()._check_group(group)
        check_number("momentum", group["momentum"], 0.0, 1.0)

    def _init_state(self, group: dict[str, Any]) -> None:
        if group["momentum"] != 0:
            momentum_buffers(self, group["params"])

    def _move(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        if group["momentum"] != 0:
            buffers = momentum_buffers(self, params)
            accumulate(buffers, group, params, grads)
            torch._foreach_sub_(params, buffers)
        else:
            descend(params, group, params, grads)


class AdamOptimizer(RegularizedOptimizer, ABC):
    """θ ← θ − τ m̂/(√ŝ + ϵ), a step of :class:`torch.optim.Adam` with g + μθ."""

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

    def _move(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        if group["weight_decay"] != 0:
            grads = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        adam_step(params, grads, [self.state[param] for param in params], group)
