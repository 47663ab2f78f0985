"""What comes out of a search: scores, the candidates they speak for, and which of them won."""

from dataclasses import dataclass, field
from typing import Any, Literal

from models.network import Network
from spec import Graph


@dataclass(frozen=True)
class Scores:
    """Means over a split: the loss, and the task's metric."""

    loss: float
    metric: float


@dataclass
class Candidate:
    """A trained network of the found widths, with the evidence for it."""

    name: Literal["found", "scratch"]
    network: Network
    validation: Scores
    test: Scores | None = None


@dataclass
class Outcome:
    """What a search ends with. `superstructure` and `shrunk` are the same function, before and after shrinking."""

    full: Graph
    """The superstructure's graph."""
    superstructure: Scores
    shrunk: Scores
    difference: float
    """Largest absolute difference between the outputs of superstructure and shrunk network on (the first 512 samples
    of) the validation split."""
    unchanged: Scores | None
    """What the input itself scores on the validation split, for tasks whose input is a bad answer already."""
    candidates: list[Candidate]
    winner: Candidate
    counts: dict[str, int]
    history: list[dict[str, Any]] = field(default_factory=list)
