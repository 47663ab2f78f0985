"""What a task asks of a network: its input and target for a batch, the loss, and the metric people read."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F

from spec.task import Autoencode, Classify, Deblur, Denoise, Regress, Segment, SuperResolve, Task, Translate


class Objective(ABC):
    """A task on batches: `x` is (batch, *sample shape) in the data's units, `y` what goes with it: labels, targets,
    images as `x` has them, or masks (batch, H, W); None where the task needs none."""

    metric: ClassVar[str]
    squared: ClassVar[bool]
    """Whether the loss is the mean square of output − target, in units of `std` where that is not None."""
    paired: ClassVar[bool] = False
    """Whether the target is `y`, in the units of which a network's outputs are then given, and not made from `x`."""
    sigma: float = 0.0
    """Standard deviation of the white noise on the network's input."""
    std: torch.Tensor | None = None
    """Standard deviations of the training targets, (targets,), for a task whose outputs are such targets."""

    @abstractmethod
    def clean(self, x: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's input without its noise, and the target; the same tensor where they are equal."""

    def pair(
        self, x: torch.Tensor, y: torch.Tensor | None, noise: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's input and its target; `noise` feeds whatever is random."""
        given, target = self.clean(x, y)
        if self.sigma:
            given = torch.randn(given.shape, generator=noise).mul_(self.sigma).add_(given)
        return given, target

    @abstractmethod
    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch, a scalar with gradient."""

    @abstractmethod
    def measure(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The metric of every sample, (batch,); the mean over samples is what is reported."""

    def details(self, output: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Further metrics of every sample by name, each (batch,), reported in the same way."""
        return {}


class _Reconstruct(Objective):
    """Mean squared error to the clean sample; PSNR by sample, for a range of [0, 1], averaged over samples."""

    metric = "psnr"
    squared = True

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(output, target)

    def measure(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        error = (output - target).square().flatten(1).mean(1)
        return -10 * error.clamp(min=1e-12).log10()


class _Autoencode(_Reconstruct):
    def clean(self, x: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


class _Denoise(_Autoencode):
    def __init__(self, sigma: float) -> None:
        self.sigma = sigma


class _Deblur(_Reconstruct):
    """The blur mirrors the image at its border."""

    def __init__(self, size: int, width: float, sigma: float) -> None:
        self.sigma = sigma
        line = torch.arange(size, dtype=torch.float32) - size // 2
        profile = torch.exp(-line.square() / (2 * width**2))
        self.kernel = torch.outer(profile, profile) / profile.sum() ** 2

    def clean(self, x: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        margin, channels = len(self.kernel) // 2, x.shape[1]
        mirrored = F.pad(x, (margin,) * 4, mode="reflect")
        blurred = F.conv2d(mirrored, self.kernel.expand(channels, 1, -1, -1), groups=channels)
        return blurred, x


class _SuperResolve(_Reconstruct):
    """Bicubic down (what is odd is rounded up) and up again, with the kernel of PIL and of published tables (a = -0.5),
    widened on the way down so that nothing folds over."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def clean(self, x: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = x.shape[2:]
        small = -(-height // self.factor), -(-width // self.factor)
        reduced = F.interpolate(x, size=small, mode="bicubic", antialias=True)
        return F.interpolate(reduced, size=(height, width), mode="bicubic", antialias=True).clamp_(0, 1), x


class _Translate(_Reconstruct):
    paired = True

    def clean(self, x: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        assert y is not None
        return x, y


class _Segment(Objective):
    """Cross-entropy plus 1 − soft Dice; outputs are logits (batch, K, H, W), targets classes (batch, H, W).

    The soft Dice (2Σpt + 1) / (Σp + Σt + 1) is taken by image and class and averaged over images and the classes 1 …
    K-1 (Milletari, Navab, Ahmadi 2016, with sums in place of sums of squares). The metrics count: Dice 2|A∩B| / (|A| +
    |B|) and IoU |A∩B| / |A∪B| by image and class, 1 where neither holds the class; `dice` and `iou` are the means over
    the classes 1 … K-1 of an image, `dice_k` and `iou_k` those of class k. All are then averaged over images.
    """

    metric = "dice"
    squared = False
    paired = True

    def clean(self, x: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        assert y is not None
        return x, y

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        p, t = output.softmax(1).flatten(2), _planes(target, output.shape[1]).float().flatten(2)
        dice = (2 * (p * t).sum(2) + 1) / (p.sum(2) + t.sum(2) + 1)
        return F.cross_entropy(output, target) + 1 - dice[:, 1:].mean()

    def measure(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self._overlaps(output, target)[0][:, 1:].mean(1)

    def details(self, output: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        dice, iou = self._overlaps(output, target)
        by_class = {
            f"{name}_{k}": of[:, k] for name, of in (("dice", dice), ("iou", iou)) for k in range(dice.shape[1])
        }
        return {"iou": iou[:, 1:].mean(1)} | by_class

    @staticmethod
    def _overlaps(output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Dice and IoU by image and class, (batch, K) each."""
        count = output.shape[1]
        a, b = _planes(output.argmax(1), count).flatten(2), _planes(target, count).flatten(2)
        both, sizes = (a & b).sum(2).double(), (a.sum(2) + b.sum(2)).double()
        absent = sizes == 0
        return torch.where(absent, 1.0, 2 * both / sizes), torch.where(absent, 1.0, both / (sizes - both))


def _planes(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Classes (batch, H, W) as truths (batch, count, H, W)."""
    return labels[:, None] == torch.arange(count, device=labels.device)[:, None, None]


class _Classify(Objective):
    """Cross-entropy; accuracy."""

    metric = "accuracy"
    squared = False

    def clean(self, x: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        assert y is not None
        return x, y

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(output, target)

    def measure(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (output.argmax(1) == target).float()


class _Regress(Objective):
    """Mean squared error of targets in units of their standard deviation; the metric is in the targets' own units."""

    metric = "mse"
    squared = True

    std: torch.Tensor

    def __init__(self, std: torch.Tensor) -> None:
        self.std = std

    def clean(self, x: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        assert y is not None
        return x, y

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(output / self.std, target / self.std)

    def measure(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (output - target).square().flatten(1).mean(1)


def objective(task: Task, target_std: torch.Tensor | None = None) -> Objective:
    """The objective of a task; `target_std` is that of the training targets, which `regress` needs."""
    match task:
        case Autoencode():
            return _Autoencode()
        case Denoise():
            return _Denoise(task.sigma)
        case Deblur():
            return _Deblur(task.kernel_size, task.kernel_sigma, task.sigma)
        case SuperResolve():
            return _SuperResolve(task.factor)
        case Translate():
            return _Translate()
        case Segment():
            return _Segment()
        case Classify():
            return _Classify()
        case Regress():
            assert target_std is not None
            return _Regress(target_std)
