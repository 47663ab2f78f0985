"""A search that grows to a size: λ stays, and the strongest sleepers are let in as a budget grows geometrically."""

from models.selection import Held
from models.stepper import Stepper
from spec import Target

GROWTH = 0.7  # of the steps, over which the budget grows
EVERY = 5  # steps


class Admission(Held):
    """Lets groups in, as many as a growing budget has room for.

    The budget begins with the size of the start and grows to the target by the same factor every `EVERY` steps. The
    sleepers with the largest ‖v_g‖/√n_g enter just above their threshold, first those of layers that have fewer than
    half of an equal share. What is awake stays until its own dual falls below; the last group of a layer always stays.
    """

    def __init__(self, stepper: Stepper, target: Target, steps: int) -> None:
        super().__init__(stepper, target, steps)
        self.start = self.size(self.counts())

    def allowed(self, step: int) -> float:
        """The budget after `step` steps."""
        done = min(1.0, step / max(1.0, GROWTH * self.steps))
        return float(self.start ** (1 - done) * self.limit**done) if done < 1 else float(self.limit)

    def after(self, step: int, *, ends_epoch: bool) -> None:
        """What is to be done after a step: hold what is asleep, and every `EVERY` steps and at the end let in."""
        self._hold(keep=False)
        if step % EVERY == 0 or step == self.steps:
            budget = self.allowed(step)
            self._let_in(budget, first=self._least(budget), in_order=budget < self.limit)
            self.optimizer.apply_prox()
