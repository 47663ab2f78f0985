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


class SuperResolve(Strict):
    """Undo a reduction in size. Loss: mean squared error; metric: PSNR.

    The image is reduced by `factor` and brought back to its size, both by bicubic interpolation (against aliasing on
    the way down), and is the network's input at that size: input and output are of one size, what a network has to add
    is the detail, and the input's own PSNR is the "bicubic" row of every published table.
    """

    kind: Literal["super_resolve"]
    factor: Annotated[int, Field(ge=2, le=8)] = 2
    """How many times smaller the image was, in height and in width."""


class Translate(Strict):
    """Turn an image into its partner: pairs of images of equal size. Loss: mean squared error; metric: PSNR."""

    kind: Literal["translate"]


class Segment(Strict):
    """Name the class of every pixel, from masks. Loss: cross-entropy plus 1 − soft Dice; metric: Dice of an image, the
    mean over the classes but class 0 (the background), averaged over images; IoU and both by class beside it."""

    kind: Literal["segment"]


class Classify(Strict):
    """Name the class of a labelled sample. Loss: cross-entropy; metric: accuracy."""

    kind: Literal["classify"]


class Regress(Strict):
    """Predict the targets of a sample. Loss: mean squared error of standardised targets; metric: MSE."""

    kind: Literal["regress"]


Task = Annotated[
    Autoencode | Denoise | Deblur | SuperResolve | Translate | Segment | Classify | Regress,
    Field(discriminator="kind"),
]


def is_squared(task: Task) -> bool:
    """Whether the loss is a mean square, so that it has a linear optimum in closed form and a noise level."""
    return not isinstance(task, Classify | Segment)


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
        case Autoencode():
            return data.shape
    if data.kind != "image":
        raise SpecError(("task",), f"{task.kind} needs images; this data set is a table")
    match task:
        case Deblur() if task.kernel_size // 2 >= min(data.smallest):
            height, width = data.smallest
            raise SpecError(
                ("task", "kernel_size"),
                f"a kernel of {task.kernel_size} pixels does not fit images of {height}×{width}; "
                f"take at most {2 * min(height, width) - 1}",
            )
        case SuperResolve() if min(data.smallest) < 2 * task.factor:
            raise SpecError(
                ("task", "factor"),
                f"images of {data.smallest[0]}×{data.smallest[1]} cannot be {task.factor} times smaller",
            )
        case Translate():
            if data.pairs is None or data.pairs.kind != "image":
                raise SpecError(("task",), f"translate needs pairs of images, and {_instead(data)}")
            return (data.pairs.channels, *data.shape[1:])
        case Segment():
            if data.pairs is None or data.pairs.classes is None:
                raise SpecError(("task",), f"segment needs masks, and {_instead(data)}")
            return (data.pairs.classes, *data.shape[1:])
    return data.shape


def _instead(data: DataShape) -> str:
    held = "images alone" if data.pairs is None else "pairs of images" if data.pairs.kind == "image" else "masks"
    return (
        f"this data set has {held}; upload a zip of image/ and label/, the label of an image under its name and of its "
        "size: an image, or a mask of classes 0 … K-1 (or of 0 and 255)"
    )
