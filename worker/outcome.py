"""What comes out of a search: scores, the candidates they speak for, and which of them won."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from models.network import Network
from spec import Graph, macs, parameters


@dataclass(frozen=True)
class Scores:
    """Means over a split: the loss, the task's metric, and further ones by name where it has them."""

    loss: float
    metric: float
    more: dict[str, float] = field(default_factory=dict)


@dataclass
class Candidate:
    """A trained network, with the evidence for it; `epochs` may be a part of one where a race left it behind.

    `full` says whether one of its name was trained as long as any, even where a shorter trial ended better and is this
    one; `lr` is None where nothing was trained (the closed form).
    """

    name: str
    seed: int
    network: Network
    lr: float | None
    steps: int
    epochs: float
    full: bool
    validation: Scores
    test: Scores | None = None


@dataclass(frozen=True)
class Snapshot:
    """An architecture that the search met, with its weights of that moment."""

    epoch: int
    counts: dict[str, int]
    network: Network
    validation: Scores


@dataclass
class Found:
    """What one seed's search left. `superstructure` and `shrunk` are the same function, before and after shrinking.

    `difference` is the largest absolute one between the outputs of both on (the first 512 samples of) the validation
    split. A search that begins on another's path has no superstructure.
    """

    seed: int
    network: Network
    counts: dict[str, int]
    shrunk: Scores
    superstructure: Scores | None = None
    difference: float = 0.0

    def told(self) -> dict[str, Any]:
        """What a user may see of it before the end."""
        graph = self.network.graph
        return {
            "seed": self.seed,
            "counts": self.counts,
            "parameters": parameters(graph),
            "macs": macs(graph),
            "superstructure": None if self.superstructure is None else asdict(self.superstructure),
            "shrunk": asdict(self.shrunk),
            "difference": self.difference,
        }


@dataclass(frozen=True)
class Contender:
    """All candidates of a name, one a seed."""

    name: str
    candidates: list[Candidate]

    @property
    def best(self) -> Candidate:
        """The one with the lowest validation loss: this network is delivered."""
        return min(self.candidates, key=lambda candidate: candidate.validation.loss)

    @property
    def full(self) -> bool:
        """Whether it was trained as long as any; what a race left behind was not, however lucky its trial was."""
        return all(candidate.full for candidate in self.candidates)

    @property
    def loss(self) -> float:
        """Mean validation loss over the seeds."""
        return statistics.fmean(candidate.validation.loss for candidate in self.candidates)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the validation loss over the seeds; None for one seed."""
        losses = [candidate.validation.loss for candidate in self.candidates]
        return statistics.stdev(losses) if len(losses) > 1 else None


def contenders(candidates: Sequence[Candidate]) -> list[Contender]:
    """By name, in the order of their first candidates."""
    names = list(dict.fromkeys(candidate.name for candidate in candidates))
    return [Contender(name, [c for c in candidates if c.name == name]) for name in names]


def ranked(candidates: Sequence[Candidate]) -> list[Contender]:
    """By loss, those that were trained in full before what a race left behind."""
    return sorted(contenders(candidates), key=lambda contender: (not contender.full, contender.loss))


def is_tie(first: Contender, second: Contender) -> bool | None:
    """Whether two differ by no more than their spreads together; None where a spread is not known."""
    if first.spread is None or second.spread is None:
        return None
    return second.loss - first.loss <= math.hypot(first.spread, second.spread)


@dataclass
class Outcome:
    """What a search ends with."""

    full: Graph
    """The superstructure's graph."""
    found: Found
    """What the search of the first seed left."""
    unchanged: Scores | None
    """What the input itself scores on the validation split, for tasks whose input is a bad answer already."""
    contenders: list[Contender]
    winner: Contender
    path: list[Snapshot] = field(default_factory=list)
    """The architectures met by the first seed's search, by size."""
    comparison_epochs: float = 0.0
    """Epochs that all trainings of the comparison took together, for all seeds."""
    notes: list[str] = field(default_factory=list)
    """What a user should know, in words."""
    history: list[dict[str, Any]] = field(default_factory=list)
