"""What the network is to do: each task with its own knobs, its targets and the name of its metric."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from spec.base import SpecError, Strict
from spec.data import DataShape

Sigma = Annotated[float, Field(ge=0, le=10)]


class Autoencode(Strict):
    """Reproduce the input. Loss: mean squared error; metric: PSNR."""

    kind: Literal["autoencode"]


class Denoise(Strict):
    """Recover the clean sample from one with white Gaussian noise. Loss: mean squared error; metric: PSNR."""

    kind: Literal["denoise"]
    sigma: Annotated[float, Field(gt=0, le=10)] = 0.25
    """Standard deviation of the noise, in units of the pixel range [0, 1]."""


class Deblur(Strict):
    """Undo a Gaussian blur, with noise on top of it. Loss: mean squared error; metric: PSNR."""

    kind: Literal["deblur"]
    kernel_size: int = Field(default=9, ge=3, le=63)
    """Side of the square blur kernel in pixels, odd."""
    kernel_sigma: float = Field(default=5.0, gt=0, le=100)
    """Standard deviation of the blur kernel in pixels."""
    sigma: Sigma = 0.05
    """Standard deviation of the noise added after blurring, in units of the pixel range [0, 1]."""

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(f"must be odd; {size} is even")
        return size


class Classify(Strict):
    """Name the class of a labelled sample. Loss: cross-entropy; metric: accuracy."""

    kind: Literal["classify"]


class Regress(Strict):
    """Predict the targets of a sample. Loss: mean squared error of standardised targets; metric: MSE."""

    kind: Literal["regress"]


Task = Annotated[Autoencode | Denoise | Deblur | Classify | Regress, Field(discriminator="kind")]


def output_shape(task: Task, data: DataShape) -> tuple[int, ...]:
    """Shape of one output sample; raises SpecError where the data cannot serve the task."""
    match task:
        case Classify():
            if data.classes is None:
                raise SpecError(("task",), "classify needs labels, and this data set has none; choose labelled data")
            return (data.classes,)
        case Regress():
            if data.targets is None:
                raise SpecError(
                    ("task",), "regress needs numeric targets, and this data set has none; choose such data"
                )
            return (data.targets,)
        case Denoise() | Deblur() if data.kind != "image":
            raise SpecError(("task",), f"{task.kind} needs images; this data set is a table")
        case Deblur():
            if task.kernel_size // 2 >= min(data.shape[1:]):
                raise SpecError(
                    ("task", "kernel_size"),
                    f"a kernel of {task.kernel_size} pixels does not fit images of "
                    f"{data.shape[1]}×{data.shape[2]}; take at most {2 * min(data.shape[1:]) - 1}",
                )
    return data.shape
