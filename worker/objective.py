"""What a task asks of a network: its input and target for a batch, the loss, and the metric people read."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F

from spec.task import Autoencode, Classify, Deblur, Denoise, Regress, Task


class Objective(ABC):
    """A task on batches: `x` is (batch, *sample shape) in the data's units, `y` labels or targets, if any."""

    metric: ClassVar[str]
    squared: ClassVar[bool]
    """Whether the loss is the mean square of output − target, in units of `std` where that is not None."""
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
        case Classify():
            return _Classify()
        case Regress():
            assert target_std is not None
            return _Regress(target_std)
