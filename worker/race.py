"""Who is trained for how long: successive halving, so that a comparison costs about two trainings."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

RATES = (1.0, 4.0, 16.0)
"""Factors on the least learning rate, between which a race decides."""

Start = Literal["dense", "linear", "found"]
"""From where an arm is trained: random dense weights, near the best linear network, or what the search left."""


@dataclass(frozen=True)
class Arm:
    """A way to train a network: whose it is, its shape (a key of what is trained), peak learning rate and start."""

    name: str
    shape: str
    lr: float
    start: Start = "dense"


@dataclass(frozen=True)
class Trial:
    """An arm that is trained for so many steps, from its start; `final` where those are all that there are."""

    arm: Arm
    steps: int
    final: bool

    @property
    def key(self) -> str:
        """Names the trial, and everything random in it."""
        return f"{self.arm.shape} {self.arm.start} lr {self.arm.lr:g} steps {self.steps}"


# What is decided in turn, and the share of one whole training that deciding it costs.
_Rung = tuple[Callable[[Arm], Any], float]
_BY_SHAPE: tuple[_Rung, ...] = (
    (lambda arm: (arm.name, arm.shape), 0.3),  # learning rate and start of each shape
    (lambda arm: arm.name, 0.3),  # the best shape of each name, such as the depth of flat widths
    (lambda arm: None, 0.35),  # who is trained to the end
)
_PILOT = 0.15
_PILOTED: tuple[_Rung, ...] = ((lambda arm: arm.name, 0.45), (lambda arm: None, 0.35))


def race(arms: Sequence[Arm], steps: int, pilot: str | None = None) -> Generator[Trial, float, None]:
    """Yield what is to be trained now, and take its validation loss: at most 1.95 · `steps` in all, or so.

    Learning rate and start are settled for each shape; or, with a `pilot`, on that shape alone for all, which leaves
    longer trials where shapes are many and trainings short. (A trial has one step at least.) The last trial is the
    whole training of the arm that came through.
    """
    left = list(arms)
    if pilot is not None:
        tried = [arm for arm in left if arm.shape == pilot]
        best = yield from _best(tried, _PILOT, steps)
        left = [arm for arm in left if (arm.lr, arm.start) == (best.lr, best.start)]
    for group_of, share in _BY_SHAPE if pilot is None else _PILOTED:
        groups: dict[Any, list[Arm]] = {}
        for arm in left:
            groups.setdefault(group_of(arm), []).append(arm)
        if len(groups) == len(left):
            continue
        losses = yield from _losses(left, share, steps)
        left = [min(group, key=lambda arm: losses[arm]) for group in groups.values()]
    for arm in left:
        yield Trial(arm, steps, final=True)


def _best(arms: Sequence[Arm], share: float, steps: int) -> Generator[Trial, float, Arm]:
    losses = yield from _losses(arms, share, steps)
    return min(arms, key=lambda arm: losses[arm])


def _losses(arms: Sequence[Arm], share: float, steps: int) -> Generator[Trial, float, dict[Arm, float]]:
    """Train each of the arms for so long that all of them take `share` of a whole training."""
    short = max(1, int(share * steps / len(arms)))
    losses: dict[Arm, float] = {}
    for arm in arms:
        losses[arm] = yield Trial(arm, short, final=short == steps)
    return losses


def trials(arms: Sequence[Arm], steps: int, pilot: str | None = None) -> list[Trial]:
    """As many trials as a race will have, of the same lengths; which arms come through is not known before."""
    running = race(arms, steps, pilot)
    planned = []
    try:
        trial = next(running)
        while True:
            planned.append(trial)
            trial = running.send(0.0)
    except StopIteration:
        return planned
