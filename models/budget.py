"""A search that ends at a size: λ is chosen again and again so that what is awake fills a growing budget."""

from linbreg import quantile_lams
from models.selection import Selection, even_share
from models.stepper import Stepper
from spec import Graph, Target

GROWTH = 0.6  # of the steps, over which the budget grows linearly; then neurons compete for what there is
EVERY = 10  # steps
START = 0.25  # of the target, that a search begins with


class Budget(Selection):
    """Lets λ follow a growing budget.

    The dual is left as it is and only λ moves, so every state is one of linearised Bregman iterations. The budget
    begins with the size of the sparse start (and no more than the target), and grows linearly to the target. Layers of
    one index set have one λ and one count. Scalars of sums have a λ of their own, which stays; those that are not 0 are
    part of the size.
    """

    def __init__(self, stepper: Stepper, target: Target, steps: int) -> None:
        super().__init__(stepper, target, steps)
        self.start = min(self.limit, self.size(self.counts()))
        self.keep(0)

    def allowed(self, step: int) -> float:
        """The budget after `step` steps."""
        done = min(1.0, step / max(1.0, GROWTH * self.steps))
        return float(self.start + done * (self.limit - self.start))

    def after(self, step: int, *, ends_epoch: bool) -> None:
        """What is to be done after a step: every `EVERY` steps and with an epoch, λ; with the last step, the rest."""
        if step % EVERY == 0 or ends_epoch:
            self.keep(step)
        if step == self.steps:
            self.keep(step)
            self.fill()

    def keep(self, step: int) -> None:
        """Choose λ for the state after `step` steps, and let θ follow from the dual.

        Where a dual is no longer finite λ stays as it is: the loss is not either, and its check says what to change.
        """
        budget, scores = self.allowed(step), self._scores()
        if not all(bool(of_set.isfinite().all()) for of_set in scores):
            return
        lams = quantile_lams(scores, self.size, budget, least=self._least(budget))
        for group, lam in zip(self._groups(), lams, strict=True):
            group["regularizer"].lam = lam
        self.stepper.apply_prox()


def start_density(graph: Graph, target: Target, density: float) -> float:
    """The largest density up to `density` at which a sparse start takes at most a quarter of the target."""
    limit = START * target.limit(graph)
    return min(density, even_share(graph, lambda counts: target.size(graph, counts) <= limit))
