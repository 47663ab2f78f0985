"""How the search is run: the optimiser and its knobs, the budget, the fine-tuning."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from spec.base import Strict

LearningRate = Annotated[float, Field(gt=0, le=100)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Density = Annotated[float, Field(gt=0, le=1)]
Scale = Annotated[float, Field(gt=0, le=100)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Beta, Beta], Field(strict=False)]


class Method(Strict):
    """What every optimiser has: its regulariser is the group norm over neurons, weighted by λ√(group size)."""

    lr: LearningRate
    """Step size τ."""
    lam: Weight
    """Weight λ of the regulariser. It does not transfer between optimisers or widths."""
    density: Density = 0.05
    """Share of the neurons that are active at the start (at least one in every layer)."""
    init_scale: Scale = 2.0
    """Factor on He's standard deviation √(2 / fan_in) of the neurons that are active at the start."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """μ, added to the gradient as μθ (never to the dual)."""
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    """Step size over the search: constant; from half-way on a cosine to 0; halved on a plateau of the training loss
    (patience 5, threshold 0.01)."""


class AdaBreg(Method):
    """Adam's steps on the dual variable."""

    optimizer: Literal["adabreg"] = "adabreg"
    lr: LearningRate = 1e-3
    lam: Weight = 0.04
    delta: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """δ of the elastic net; 1 in every published experiment."""
    betas: Betas = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8


class LinBreg(Method):
    """Gradient steps on the dual variable."""

    optimizer: Literal["linbreg"]
    lr: LearningRate = 0.1
    lam: Weight = 0.1
    delta: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """δ of the elastic net; 1 in every published experiment."""
    momentum: Beta = 0.9


class ProxAdam(Method):
    """Baseline: Adam followed by the proximal map, from a dense start."""

    optimizer: Literal["proxadam"]
    lr: LearningRate = 1e-3
    lam: Weight = 1e-3
    density: Density = 1.0
    init_scale: Scale = 1.0
    betas: Betas = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8


class ProxSGD(Method):
    """Baseline: proximal stochastic gradient descent, from a dense start."""

    optimizer: Literal["proxsgd"]
    lr: LearningRate = 0.1
    lam: Weight = 1e-3
    density: Density = 1.0
    init_scale: Scale = 1.0
    momentum: Beta = 0.0


def _optimizer(given: Any) -> Any:
    if isinstance(given, dict):
        return given.get("optimizer", "adabreg")
    return getattr(given, "optimizer", None)


AnyMethod = Annotated[
    Annotated[AdaBreg, Tag("adabreg")]
    | Annotated[LinBreg, Tag("linbreg")]
    | Annotated[ProxAdam, Tag("proxadam")]
    | Annotated[ProxSGD, Tag("proxsgd")],
    Discriminator(_optimizer),
]


class Budget(Strict):
    """How long the search may take."""

    epochs: int = Field(default=30, ge=1, le=100_000)
    batch_size: int = Field(default=128, ge=1, le=65_536)
    time_limit_s: int = Field(default=86_400, ge=1, le=31 * 86_400)
    """Seconds of training, fine-tuning included, after which the search fails with `time_limit`."""


class Finetune(Strict):
    """Training of the shrunk network after the search.

    It is trained on from the search's weights, and its widths are trained from scratch as well;
    the better by validation is delivered.
    """

    epochs: int = Field(default=10, ge=0, le=100_000)
    """Epochs of training on; 0 delivers the shrunk network as the search left it."""
    lr: LearningRate = 1e-3
    """Peak learning rate of Adam, with a cosine to 0, for both trainings."""
    scratch_epochs: int | None = Field(default=None, ge=0, le=100_000)
    """Epochs for the widths from scratch: as many as search and fine-tuning together where not given; 0 leaves them
    out."""
