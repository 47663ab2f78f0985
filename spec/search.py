"""A search, as it is posted: the one type that the API, the client and the worker agree on."""

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, field_validator

from spec.base import Strict
from spec.convnet import Convnet
from spec.method import AdaBreg, AnyMethod, Bregman, Budget, Finetune, Way
from spec.mlp import Mlp
from spec.target import Target
from spec.task import Task, is_squared
from spec.unet import Unet

# A new superstructure is one file that declares its graph, and one more member here.
Superstructure = Annotated[Mlp | Unet | Convnet, Field(discriminator="kind")]

SUPERSTRUCTURES: dict[str, type[Mlp | Unet | Convnet]] = {"mlp": Mlp, "unet": Unet, "convnet": Convnet}

Rivals = Literal["linear", "flat", "scaled", "geometric", "ratio", "random", "scratch", "control"]
"""Networks of the found one's size that nobody searched for: the best linear one in closed form, equal widths (of an
MLP at every depth), the superstructure's widths scaled down, an hour-glass on geometric lines, widths that grow or fall
by one ratio from level to level, random widths, the found widths trained from scratch, and equal widths that are
trained as the search trains, with nothing to select."""

OFFERED_RIVALS: dict[str, tuple[Rivals, ...]] = {
    "mlp": ("linear", "flat", "scaled", "geometric", "random", "scratch"),
    "unet": ("flat", "scaled", "ratio", "random", "scratch", "control"),
    "convnet": ("flat", "scaled", "ratio", "random", "scratch", "control"),
}
"""Which of them are defined for a superstructure."""
DEFAULT_RIVALS: dict[str, tuple[Rivals, ...]] = {
    "mlp": ("linear", "flat", "scaled", "scratch"),
    "unet": ("flat", "scaled", "ratio", "scratch", "control"),
    "convnet": ("flat", "scaled", "ratio", "scratch"),
}
"""What a network is compared with where nothing is said (`linear` where the loss is squared)."""

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
    not given: `flat`, `scaled` and `scratch`, with `linear` for an MLP whose loss is squared, `ratio` for convolutions,
    and `control` for a U-Net with a target. An empty list leaves it out."""
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
        return tuple(name for name in DEFAULT_RIVALS[self.superstructure.kind] if name in self.offered_rivals)

    @property
    def offered_rivals(self) -> tuple[Rivals, ...]:
        """What it may be compared with."""
        selects = self.target is not None and isinstance(self.method, Bregman) and self.selection != "quantile"
        defined = {"linear": is_squared(self.task), "control": selects}
        return tuple(name for name in OFFERED_RIVALS[self.superstructure.kind] if defined.get(name, True))

    @property
    def convolutional(self) -> bool:
        """Whether the superstructure has convolutions."""
        return not isinstance(self.superstructure, Mlp)

    @property
    def selection(self) -> Way:
        """How a target is reached."""
        asked = self.method.selection if isinstance(self.method, Bregman) else "quantile"
        return asked or ("swaps" if self.convolutional else "quantile")

    @property
    def init_scale(self) -> float:
        """Factor on He's deviation at the start."""
        return self.method.init_scale or (1.0 if self.convolutional or self.selection != "quantile" else 2.0)

    @property
    def search_epochs(self) -> int:
        """Epochs of the search, for one seed."""
        return 0 if self.start else self.budget.epochs

    @property
    def full_epochs(self) -> int:
        """Epochs that a network of the found size is trained for, where it is compared: those of search and
        fine-tuning together."""
        return self.budget.epochs + self.finetune.epochs


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
