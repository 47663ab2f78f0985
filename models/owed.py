"""What sleeping neurons are owed: gradient steps that are taken when it matters.

The outgoing weights U of sleepers do not move while they sleep, so gradient steps on their duals, all of the form
(thin factor)·Uᵀ, add up in the thin factor. What momentum m a sleeper had moves it on by (β + … + βᵏ)·m in k steps.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

NEARLY = 1 - 1e-4
"""Of the way to its threshold; what a sleeper is owed is paid before it can have gone so far."""


class Owed:
    """What the sleepers of one layer have not been given yet, with U, (sleepers, neurons in front above), factored out.

    Their duals v and momenta m are (ahead, sleepers): the rows that move.
    """

    def __init__(self, steps: Tensor, momentum: float, rolling: Tensor | None = None, count: int = 0) -> None:
        self.steps = steps
        """A, (ahead, neurons in front above): v −= A·Uᵀ."""
        self.momentum = momentum
        """β, or 0 where there is none."""
        self.rolling = rolling if rolling is not None else torch.zeros_like(steps if momentum else steps[:0])
        """B, like A, or empty: what m has gained is B·Uᵀ."""
        self.count = count
        """Steps since the last payment: m itself is older, and has shrunk by β with each."""
        self._slack: tuple[Tensor, Tensor, float] | None = None

    def add(self, gradient: Tensor, lr: float) -> None:
        """One step more, against `gradient`·Uᵀ."""
        self.count += 1
        if self.momentum:
            self.rolling.mul_(self.momentum).add_(gradient, alpha=(1 - self.momentum) * lr)
            self.steps.add_(self.rolling)
        else:
            self.steps.add_(gradient, alpha=lr)

    def pay_(self, dual: Tensor, moments: Sequence[Tensor], outgoing: Tensor) -> None:
        """Bring v, and m where there is one, to the present."""
        dual.addmm_(self.steps, outgoing.t(), alpha=-1)
        if self.count:
            for momentum in moments:
                dual.sub_(momentum, alpha=self._rolled)
                momentum.mul_(self.momentum**self.count).addmm_(self.rolling, outgoing.t())
        self.steps.zero_()
        self.rolling.zero_()
        self.count, self._slack = 0, None

    def may_wake(self, squares: Tensor, thresholds: Tensor, moments: Sequence[Tensor], outgoing: Tensor) -> bool:
        """Whether for one of them ‖v‖ + (β + … + βᵏ)‖m‖ + ‖A·u‖ is above its threshold, with u its row of U.

        `squares` are the ‖v‖² of the last payment.
        """
        if self._slack is None:
            self._slack = self._slacks(squares, thresholds, moments, outgoing)
        slack, rolls, least = self._slack
        if float(torch.dot(self.steps.view(-1), self.steps.view(-1))) < least:  # ‖A·u‖ ≤ ‖A‖‖u‖
            return False
        moved = torch.mm(outgoing, torch.mm(self.steps.t(), self.steps)).mul_(outgoing).sum(1)
        below = moved.clamp_(min=0).sqrt_() <= slack.sub(rolls, alpha=self._rolled)
        return not bool(below.all())  # so that NaN is paid, and seen

    @property
    def _rolled(self) -> float:
        """β + … + βᵏ."""
        return self.momentum * (1 - self.momentum**self.count) / (1 - self.momentum)

    def _slacks(
        self, squares: Tensor, thresholds: Tensor, moments: Sequence[Tensor], outgoing: Tensor
    ) -> tuple[Tensor, Tensor, float]:
        """How far each is from its threshold, its ‖m‖, and the ‖A‖² below which none wakes in ever so many steps."""
        slack = (thresholds - squares.sqrt()).mul_(NEARLY).clamp_(min=0)
        rolls = sum((torch.linalg.vector_norm(momentum, dim=0) for momentum in moments), torch.zeros_like(slack))
        sure = slack.sub(rolls, alpha=self.momentum / (1 - self.momentum)).clamp_(min=0)
        sizes = (outgoing * outgoing).sum(1).clamp_(min=torch.finfo(torch.float32).tiny)
        return slack, rolls, float((sure.square() / sizes).min())
