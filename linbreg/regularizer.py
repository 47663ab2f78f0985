"""What is a regulariser? The contract that the optimisers rely on."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Regularizer(ABC):
    r"""A convex, positively homogeneous penalty :math:`J` of the tensors of one param group, with weight λ.

    *Homogeneous* means :math:`J(t\theta) = t J(\theta)` for t ≥ 0, as every norm is. Then
    :math:`\mathrm{prox}_{\delta J}(\delta v) = \delta\,\mathrm{prox}_J(v)`, which is why :meth:`prox_into`
    takes a ``scale``: an optimiser writes θ from the dual in one pass.

    ``lam`` may be changed at any time, also while training: an optimiser keeps its dual, and its next step (or
    ``optimizer.apply_prox()``) applies the prox with the new value. One object may serve many param groups;
    they then share one λ.

    Every method takes a *list* of tensors and looks at each by itself, unless :attr:`joint` says that they
    form their groups together. Tensors may differ in dtype.

    A subclass implements :meth:`value`, :meth:`prox_into`, :meth:`sub_gradient` and :meth:`active`.
    """

    joint: bool = False
    """Whether the tensors of a param group share their groups, so that one cannot move without the others."""

    def __init__(self, lam: float) -> None:
        self.lam = lam

    @property
    def lam(self) -> float:
        """The weight λ of the penalty: finite, not negative."""
        return self._lam

    @lam.setter
    def lam(self, lam: float) -> None:
        lam = float(lam)
        if not math.isfinite(lam) or lam < 0:
            raise ValueError(f"{type(self).__name__}: lam must be a finite number that is not negative, got {lam}")
        self._lam = lam

    @abstractmethod
    def value(self, params: Sequence[Tensor]) -> Tensor:
        """J(θ) as a scalar tensor. It can be differentiated; its slope at a zero group is 0."""

    @abstractmethod
    def prox_into(self, out: Sequence[Tensor], params: Sequence[Tensor], step: float, scale: float = 1.0) -> None:
        """Write ``scale`` · prox_{step·J}(params) into ``out``, which may be ``params`` itself.

        The hot path: shapes are not checked, gradients must be off.
        """

    @abstractmethod
    def sub_gradient(self, params: Sequence[Tensor]) -> list[Tensor]:
        """One p ∈ ∂J(θ), shaped like ``params``; 0 on zero entries or groups."""

    @abstractmethod
    def active(self, params: Sequence[Tensor]) -> list[Tensor]:
        """Boolean masks over the groups of θ: one for each tensor, or a single one where they are joint.

        A group is active unless it is exactly zero.
        """

    def check(self, params: Sequence[Tensor]) -> None:
        """Raise where this regulariser cannot be applied to tensors of these shapes."""
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__} takes a list of tensors, got a single tensor: write [tensor]")
        for param in params:
            if not param.is_floating_point():
                raise TypeError(f"{type(self).__name__} takes real floating point tensors, got {param.dtype}")

    @torch.no_grad()
    def prox(self, params: Sequence[Tensor], step: float = 1.0) -> list[Tensor]:
        """prox_{step·J}(params) = argmin_y J(y) + ‖y − params‖²/(2·step), as new tensors."""
        self._check_step(step)
        self.check(params)
        out = [torch.empty_like(param) for param in params]
        self.prox_into(out, params, step)
        return out

    @torch.no_grad()
    def prox_(self, params: Sequence[Tensor], step: float = 1.0) -> None:
        """Replace ``params`` by prox_{step·J}(params)."""
        self._check_step(step)
        self.check(params)
        self.prox_into(params, params, step)

    def config(self) -> dict[str, str | float | int | bool]:
        """Kind and settings as plain values: what a state_dict holds instead of this object."""
        return {"kind": type(self).__name__, "lam": self.lam}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.config().items() if name != "kind")
        return f"{type(self).__name__}({settings})"

    def _check_step(self, step: float) -> None:
        if not math.isfinite(step) or step < 0:
            raise ValueError(f"the step of a prox must be a finite number that is not negative, got {step}")


def total(values: Sequence[Tensor]) -> Tensor:
    """The sum of scalars that may differ in dtype; 0 of none."""
    return torch.stack(list(values)).sum() if values else torch.zeros(())
