"""How does λ move while training? From one value to another, by the step."""

import math
from typing import Literal, get_args

from linbreg.optimizer import RegularizedOptimizer, check_number
from linbreg.regularizer import Regularizer

Shape = Literal["linear", "geometric", "cosine"]


class LambdaSchedule:
    r"""Moves the λ of all regularisers of an optimiser, as :mod:`torch.optim.lr_scheduler` moves its lr.

    With t = k/steps after k calls of :meth:`step`:

    .. math::
       \lambda(t) = (1-t)\,a + t\,b, \qquad a^{1-t}\,b^t, \qquad b + (a-b)\,\frac{1 + \cos \pi t}{2}

    for ``"linear"``, ``"geometric"`` and ``"cosine"``; b afterwards. On :class:`ProxSGD` or :class:`ProxAdam` with
    b < a this is continuation, the rival that also starts sparse but without a dual. On a Bregman optimiser the
    duals are kept.

    Args:
        optimizer: its regularisers are set to a at once, and to the next value by every :meth:`step`
        start: a
        end: b
        steps: after so many calls of :meth:`step` λ is b
        shape: ``"linear"``, ``"geometric"`` (a and b greater than 0) or ``"cosine"``

    Example::

        >>> schedule = LambdaSchedule(optimizer, start=1.0, end=0.01, steps=1000, shape="geometric")
        >>> for x, y in batches:
        ...     ...
        ...     optimizer.step()
        ...     schedule.step()
    """

    def __init__(
        self, optimizer: RegularizedOptimizer, start: float, end: float, steps: int, shape: Shape = "linear"
    ) -> None:
        if shape not in get_args(Shape):
            raise ValueError(f"shape must be one of {', '.join(get_args(Shape))}; got {shape!r}")
        for name, lam in (("start", start), ("end", end)):
            check_number(name, lam, 0.0, above=shape == "geometric")
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.optimizer, self.start, self.end, self.steps, self.shape = optimizer, start, end, steps, shape
        self.count = 0
        self._set()

    def at(self, count: int) -> float:
        """λ after so many calls of :meth:`step`."""
        if count >= self.steps:
            return self.end
        t = count / self.steps
        if self.shape == "linear":
            return (1 - t) * self.start + t * self.end
        if self.shape == "geometric":
            return math.pow(self.start, 1 - t) * math.pow(self.end, t)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * t)) / 2

    def step(self) -> None:
        """Set the next λ; call it after ``optimizer.step()``."""
        self.count += 1
        self._set()

    def go_to(self, count: int) -> None:
        """Set the λ that so many calls of :meth:`step` lead to."""
        self.count = count
        self._set()

    def state_dict(self) -> dict[str, int]:
        """How many steps were taken. The settings are the caller's, as the optimiser's parameters are."""
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on from there, and set λ to what it was."""
        self.count = state_dict["count"]
        self._set()

    def _set(self) -> None:
        for group in self.optimizer.param_groups:
            regularizer: Regularizer | None = group["regularizer"]
            if regularizer is not None:
                regularizer.lam = self.at(self.count)
