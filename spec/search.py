"""A search, as it is posted: the one type that the API, the client and the worker agree on."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from spec.base import Strict
from spec.method import AdaBreg, AnyMethod, Budget, Finetune
from spec.mlp import Mlp
from spec.task import Task

# A new superstructure is one file that declares its graph, and one more member here.
Superstructure = Mlp

SUPERSTRUCTURES: dict[str, type[Mlp]] = {"mlp": Mlp}

Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Value = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]


class SearchSpec(Strict):
    """What to search, for which task, on which data. Only `superstructure`, `task` and `data` are required."""

    name: Text = ""
    """For people; need not be unique."""
    superstructure: Superstructure
    task: Task
    data: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$")]
    """A name of the catalogue, or the id of an uploaded set (`dset_…`)."""
    method: AnyMethod = Field(default_factory=AdaBreg)
    budget: Budget = Field(default_factory=Budget)
    finetune: Finetune = Field(default_factory=Finetune)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Everything random follows from it: the same search gives the same architecture on the same kind of CPU."""
    priority: int = Field(default=0, ge=-100, le=100)
    """Of the searches that wait, those with the highest are taken first."""
    device: Literal["cpu", "cuda"] | None = None
    """What trains it, wherever it is moved: a GPU does not round as a CPU does. Left out, the service's default."""
    metadata: Annotated[dict[Key, Value], Field(max_length=16)] = Field(default_factory=dict)
    """Up to 16 pairs of text, kept with the search."""

    @property
    def scratch_epochs(self) -> int:
        """Epochs that the found widths are trained from scratch."""
        if self.finetune.scratch_epochs is None:
            return self.budget.epochs + self.finetune.epochs
        return self.finetune.scratch_epochs

    @property
    def total_epochs(self) -> int:
        """Epochs of all stages together."""
        return self.budget.epochs + self.finetune.epochs + self.scratch_epochs


EXAMPLE = {
    "name": "small denoiser",
    "superstructure": {"kind": "mlp", "widths": [784, 784, 784, 784, 784], "activation": "silu"},
    "task": {"kind": "denoise", "sigma": 0.25},
    "data": "mnist-5k",
    "method": {"optimizer": "adabreg", "lr": 0.001, "density": 0.05},
    "budget": {"epochs": 30, "batch_size": 128, "time_limit_s": 3600},
    "finetune": {"epochs": 10},
    "seed": 1,
    "metadata": {"project": "x"},
}
