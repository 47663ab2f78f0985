"""A search, as it is posted: the one type that the API, the client and the worker agree on."""

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, field_validator

from spec.base import Strict
from spec.method import AdaBreg, AnyMethod, Budget, Finetune
from spec.mlp import Mlp
from spec.target import Target
from spec.task import Task, is_squared

# A new superstructure is one file that declares its graph, and one more member here.
Superstructure = Mlp

SUPERSTRUCTURES: dict[str, type[Mlp]] = {"mlp": Mlp}

Rivals = Literal["linear", "flat", "scaled", "geometric", "random", "scratch"]
"""Networks of the found one's size that nobody searched for: the best linear one in closed form, equal widths (at every
depth), the superstructure's widths scaled down, an hour-glass on geometric lines, random widths, and the found widths
trained from scratch."""

Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Value = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class PathStart(Strict):
    """An architecture that another search met on its way, with the weights that it had there."""

    search: Annotated[str, StringConstraints(pattern=r"^srch_[0-9a-f]{32}$")]
    k: Annotated[int, Field(ge=0, le=999)]
    """Its index in `GET /v1/searches/{id}/path`."""


class SearchSpec(Strict):
    """What to search, for which task, on which data. Only `superstructure`, `task` and `data` are required."""

    name: Text = ""
    """For people; need not be unique."""
    superstructure: Superstructure
    task: Task
    data: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$")]
    """A name of the catalogue, or the id of an uploaded set (`dset_…`)."""
    target: Target | None = None
    """The size asked for; without it, `method.lam` decides."""
    method: AnyMethod = Field(default_factory=AdaBreg)
    budget: Budget = Field(default_factory=Budget)
    finetune: Finetune = Field(default_factory=Finetune)
    compare: Annotated[tuple[Rivals, ...], Field(strict=False)] | None = None
    """What the found network is compared with, at its size or below; the best of all by validation is delivered. Where
    not given: `linear` (where the loss is squared), `flat`, `scaled` and `scratch`. An empty list leaves it out."""
    seed: Seed = 0
    """Everything random follows from it: the same search gives the same architecture on the same kind of CPU."""
    seeds: Annotated[tuple[Seed, ...], Field(strict=False)] | None = None
    """In place of `seed`: the search and what remains in the comparison are repeated with each (1 to 10 of them), and
    the result says how far they lie apart."""
    start: PathStart | None = None
    """Where to begin in place of a search; set by `POST /v1/searches/{id}/path/{k}`."""
    priority: int = Field(default=0, ge=-100, le=100)
    """Of the searches that wait, those with the highest are taken first."""
    device: Literal["cpu", "cuda"] | None = None
    """What trains it, wherever it is moved: a GPU does not round as a CPU does. Left out, the service's default."""
    metadata: Annotated[dict[Key, Value], Field(max_length=16)] = Field(default_factory=dict)
    """Up to 16 pairs of text, kept with the search."""

    @field_validator("compare")
    @classmethod
    def _compared_once(cls, names: tuple[Rivals, ...] | None) -> tuple[Rivals, ...] | None:
        if names is not None and len(set(names)) < len(names):
            raise ValueError(f"every comparison once; known are: {', '.join(get_args(Rivals))}")
        return names

    @field_validator("seeds")
    @classmethod
    def _few_seeds(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if seeds is not None and (not 1 <= len(seeds) <= 10 or len(set(seeds)) < len(seeds)):
            raise ValueError(f"give 1 to 10 different seeds; given are {len(seeds)}")
        return seeds

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds that the search is run with."""
        return (self.seed,) if self.seeds is None else self.seeds

    @property
    def rivals(self) -> tuple[Rivals, ...]:
        """What the found network is compared with."""
        if self.compare is not None:
            return self.compare
        return DEFAULT_RIVALS if is_squared(self.task) else ("flat", "scaled", "scratch")

    @property
    def search_epochs(self) -> int:
        """Epochs of the search, for one seed."""
        return 0 if self.start else self.budget.epochs

    @property
    def full_epochs(self) -> int:
        """Epochs that a network of the found size is trained for, where it is compared: those of search and
        fine-tuning together."""
        return self.budget.epochs + self.finetune.epochs


DEFAULT_RIVALS: tuple[Rivals, ...] = ("linear", "flat", "scaled", "scratch")

EXAMPLE = {
    "name": "small denoiser",
    "superstructure": {"kind": "mlp", "widths": [784, 784, 784, 784, 784], "activation": "silu"},
    "task": {"kind": "denoise", "sigma": 0.25},
    "data": "mnist-5k",
    "target": {"parameters": 200000},
    "method": {"optimizer": "adabreg", "lr": 0.001, "density": 0.05},
    "budget": {"epochs": 30, "batch_size": 128, "time_limit_s": 3600},
    "finetune": {"epochs": 10},
    "compare": ["linear", "flat", "scaled"],
    "seed": 1,
    "metadata": {"project": "x"},
}
