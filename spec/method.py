"""How the search is run: the optimiser and its knobs, the budget, the fine-tuning."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from spec.base import Strict

LearningRate = Annotated[float, Field(gt=0, le=100)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Density = Annotated[float, Field(gt=0, le=1)]
Scale = Annotated[float, Field(gt=0, le=100)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Beta, Beta], Field(strict=False)]
Groups = Literal["filters", "kernels"]
Way = Literal["quantile", "admission", "swaps"]


class Method(Strict):
    """What every optimiser has: its regulariser is the group norm over neurons, weighted by λ√(group size)."""

    lr: LearningRate
    """Step size τ."""
    lam: Weight | None = None
    """Weight λ of the regulariser, kept for the whole search. It does not transfer between optimisers or widths: ask
    for a target instead. Without either, the optimiser's `default_lam`."""
    density: Density | None = None
    """Share of the neurons that are active at the start (at least one in every layer): the optimiser's
    `default_density` where not given. With a target the start takes a quarter of it, or less with a smaller density."""
    init_scale: Scale | None = None
    """Factor on He's standard deviation √(2 / fan_in) of the neurons that are active at the start. Where not given: of
    an MLP 2, fan_in counting all inputs; of convolutions, and of what is grown by admission or begun for swaps, 1, and
    fan_in counts the inputs that are active."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """μ, added to the gradient as μθ (never to the dual)."""
    schedule: Literal["constant", "cosine", "plateau"] | None = None
    """Step size over the search: constant; from half-way on a cosine to 0; halved on a plateau of the training loss
    (patience 5, threshold 0.01). Where none is given: cosine with a target, constant without."""

    default_density: ClassVar[float] = 0.05
    default_lam: ClassVar[float]
    """λ where none is given; where a target decides, the λ that the first duals are made with."""

    @property
    def start_density(self) -> float:
        """The density that the search begins with, where no target says otherwise."""
        return self.default_density if self.density is None else self.density

    @property
    def start_lam(self) -> float:
        """The λ that the search begins with."""
        return self.default_lam if self.lam is None else self.lam


class Bregman(Method):
    """What the two Bregman methods have besides."""

    delta: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """δ of the elastic net; 1 in every published experiment."""
    skip_lam: Weight | None = None
    """λ of the ℓ1 norm of the skips' scalars, where `superstructure.skips` is "searched"; a target leaves it alone.
    Where none is given: 0.1."""

    groups: Groups = "filters"
    """What is one group of the regulariser. "filters": a whole neuron, filter or channel with its bias, so that what is
    not needed is removed. "kernels", the form of Bungert, Roith, Tenbrinck and Burger (JMLR 23(192), 2022), for a
    convnet or unet without a target: a single kernel from one channel to another, and a single weight of a linear
    layer, the head's too; biases are in no group. It finds missing connections, `metrics` says how many are left, and
    hardly a channel is removed."""
    selection: Way | None = None
    """How a target is reached. "quantile": λ follows a growing budget, and groups wake and fall asleep by their duals.
    "admission": grown from a few channels; λ stays, and the strongest sleepers are let in while they fit. "swaps":
    begins with equal widths at the target, and channels move to where they are worth more. Where not given: quantile
    for an MLP, swaps for convolutions."""

    default_skip_lam: ClassVar[float] = 0.1


class AdaBreg(Bregman):
    """Adam's steps on the dual variable."""

    optimizer: Literal["adabreg"] = "adabreg"
    lr: LearningRate = 1e-3
    default_lam = 0.04
    betas: Betas = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8
    depth: Literal["fixed", "searched"] = "fixed"
    """"searched": an MLP's depth is found in place of its widths. The search begins with a deep *linear* network of
    equal widths at the target; a layer becomes nonlinear where the dual of its gate says so, the others are merged
    away. Of this method's settings `lr` alone counts then (it is Adam's)."""


class LinBreg(Bregman):
    """Gradient steps on the dual variable."""

    optimizer: Literal["linbreg"]
    lr: LearningRate = 0.1
    default_lam = 0.1
    momentum: Beta = 0.9


class LamSchedule(Strict):
    """λ moves from `method.lam` to `end` over the steps of the search (continuation)."""

    end: Weight
    shape: Literal["linear", "geometric", "cosine"] = "geometric"


class ProxAdam(Method):
    """Baseline: Adam followed by the proximal map, from a dense start."""

    optimizer: Literal["proxadam"]
    lr: LearningRate = 1e-3
    default_lam = 1e-3
    default_density = 1.0
    init_scale: Scale | None = 1.0
    groups: Groups = "filters"
    """As for adabreg and linbreg: whole filters, or single kernels."""
    lam_schedule: LamSchedule | None = None
    betas: Betas = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8


class ProxSGD(Method):
    """Baseline: proximal stochastic gradient descent, from a dense start."""

    optimizer: Literal["proxsgd"]
    lr: LearningRate = 0.1
    default_lam = 1e-3
    default_density = 1.0
    init_scale: Scale | None = 1.0
    groups: Groups = "filters"
    """As for adabreg and linbreg: whole filters, or single kernels."""
    lam_schedule: LamSchedule | None = None
    momentum: Beta = 0.0


class Lasso(Method):
    """Baseline: descent on loss and regulariser together, from a dense start. It finds no exact zeros by itself."""

    optimizer: Literal["lasso"]
    base: Literal["adam", "sgd"] = "adam"
    lr: LearningRate = 1e-3
    default_lam = 1e-4
    default_density = 1.0
    init_scale: Scale | None = 1.0
    cut: Annotated[float, Field(ge=0, le=100)] | None = None
    """Groups whose root mean square is at most this are removed when the search has ended; `lr` where not given."""

    @property
    def threshold(self) -> float:
        """The root mean square at which groups are removed."""
        return self.lr if self.cut is None else self.cut


class Adam(Method):
    """Baseline: Adam without a regulariser. Nothing sleeps unless it begins asleep."""

    optimizer: Literal["adam"]
    lr: LearningRate = 1e-3
    default_lam = 0.0
    default_density = 1.0
    init_scale: Scale | None = 1.0
    betas: Betas = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8


class SGD(Method):
    """Baseline: stochastic gradient descent without a regulariser."""

    optimizer: Literal["sgd"]
    lr: LearningRate = 0.1
    default_lam = 0.0
    default_density = 1.0
    init_scale: Scale | None = 1.0
    momentum: Beta = 0.0


def _optimizer(given: Any) -> Any:
    if isinstance(given, dict):
        return given.get("optimizer", "adabreg")
    return getattr(given, "optimizer", None)


AnyMethod = Annotated[
    Annotated[AdaBreg, Tag("adabreg")]
    | Annotated[LinBreg, Tag("linbreg")]
    | Annotated[ProxAdam, Tag("proxadam")]
    | Annotated[ProxSGD, Tag("proxsgd")]
    | Annotated[Lasso, Tag("lasso")]
    | Annotated[Adam, Tag("adam")]
    | Annotated[SGD, Tag("sgd")],
    Discriminator(_optimizer),
]


class Budget(Strict):
    """How long the search may take."""

    epochs: int = Field(default=30, ge=1, le=100_000)
    batch_size: int = Field(default=128, ge=1, le=65_536)
    crop: Annotated[int, Field(ge=4, le=4096)] | None = None
    """Side in pixels of the random squares that networks of any image size are trained on; they are turned by quarter
    turns and mirrored at random. Left out, training sees whole images, which then have one size."""
    crops_per_image: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Crops that each image gives in an epoch; as many as fit beside each other where not given."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What layers are computed in while training: bfloat16 halves what they hold, and is meant for GPUs that are made
    for it. Weights, duals, moments, losses, validation and what is delivered are float32 either way."""
    time_limit_s: int = Field(default=86_400, ge=1, le=31 * 86_400)
    """Seconds of training, fine-tuning and comparison included, after which the search fails with `time_limit`."""
    noise_level: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Standard deviation of the noise in the targets, where the loss is squared: the search ends with the first epoch
    whose training loss is at most its square (the discrepancy principle). Of images in the units of their pixels; of
    `regress`, whose loss is scaled, in standard deviations of the targets."""


class Finetune(Strict):
    """Training of the shrunk network after the search."""

    epochs: int = Field(default=10, ge=0, le=100_000)
    """Epochs of training on; 0 delivers the shrunk network as the search left it. What it is compared with is trained
    for the epochs of search and fine-tuning together."""
    lr: LearningRate = 1e-3
    """Smallest peak learning rate of Adam, with 20 steps up and a cosine to 0. A short race decides between it, its
    fourfold and its sixteenfold, for the found network and for what it is compared with (of convolutions once for all
    of that)."""
