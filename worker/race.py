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
_RUNGS: tuple[tuple[Callable[[Arm], Any], float], ...] = (
    (lambda arm: (arm.name, arm.shape), 0.3),  # learning rate and start of each shape
    (lambda arm: arm.name, 0.3),  # the best shape of each name, such as the depth of flat widths
    (lambda arm: None, 0.35),  # who is trained to the end
)


def race(arms: Sequence[Arm], steps: int) -> Generator[Trial, float, None]:
    """Yield what is to be trained now, and take its validation loss: at most 1.95 · `steps` in all, or so.

    (A trial has one step at least.) The last trial is the whole training of the arm that came through.
    """
    left = list(arms)
    for group_of, share in _RUNGS:
        groups: dict[Any, list[Arm]] = {}
        for arm in left:
            groups.setdefault(group_of(arm), []).append(arm)
        if len(groups) == len(left):
            continue
        losses: dict[Arm, float] = {}
        for arm in left:
            short = max(1, int(share * steps / len(left)))
            losses[arm] = yield Trial(arm, short, final=short == steps)
        left = [min(group, key=lambda arm: losses[arm]) for group in groups.values()]
    for arm in left:
        yield Trial(arm, steps, final=True)


def trials(arms: Sequence[Arm], steps: int) -> list[Trial]:
    """As many trials as a race will have, of the same lengths; which arms come through is not known before."""
    running = race(arms, steps)
    planned = []
    try:
        trial = next(running)
        while True:
            planned.append(trial)
            trial = running.send(0.0)
    except StopIteration:
        return planned
