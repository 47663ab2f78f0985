"""Which part of an image does a training step see, and which networks can be trained on images of these sizes?"""

from dataclasses import dataclass
from typing import Final

from spec.base import SpecError
from spec.data import DataShape
from spec.graph import Graph
from spec.method import Budget
from spec.task import Deblur, SuperResolve, Task

TILE_PIXELS: Final = 1 << 18
"""Of what a network of any image size is run on at once, where it is judged on whole images: 512 × 512."""


@dataclass(frozen=True)
class Crops:
    """Training on random squares of `side` pixels, turned and mirrored at random; every image gives `per_image` of
    them an epoch."""

    side: int
    per_image: int


def crops(budget: Budget, task: Task, graph: Graph, data: DataShape) -> Crops | None:
    """The crops that a search trains on; None for whole images (or a table).

    An epoch takes every image as often as such squares fit beside each other into the largest training image, or as
    `budget.crops_per_image` says. Raises SpecError where the images do not allow what is asked for.
    """
    side, where = budget.crop, ("budget", "crop")
    if not graph.takes_any_size:
        if side is not None:
            raise SpecError(where, "this superstructure takes images of one size only; leave it out")
        _check_one_size(data, graph)
    elif (reach := graph.reach()) > min(data.smallest):
        raise SpecError(
            ("superstructure",),
            f"a pixel of the output depends on inputs up to {reach} pixels away, and the smallest image has "
            f"{_words(data.smallest)}; take fewer levels, fewer convolutions or larger images",
        )
    if side is None:
        if budget.crops_per_image is not None:
            raise SpecError(("budget", "crops_per_image"), "is of crops; give budget.crop too, or leave it out")
        if data.sizes is not None and data.sizes.in_training:
            raise SpecError(
                where,
                "the training images have different sizes, so they are trained on by crops; "
                f"give a side of at most {min(data.smallest)} pixels",
            )
        return None
    height, width = data.smallest
    if side > min(height, width):
        raise SpecError(
            where, f"the smallest image has {_words((height, width))} pixels; take at most {min(height, width)}"
        )
    if side < (needed := _least(task)):
        raise SpecError(where, f"{task.kind} needs crops of at least {needed} pixels here")
    whole = max(1, (data.shape[1] // side) * (data.shape[2] // side))
    return Crops(side, whole if budget.crops_per_image is None else budget.crops_per_image)


def _check_one_size(data: DataShape, graph: Graph) -> None:
    if data.sizes is not None:
        unet = "take a unet, or " if graph.output_shape[1:] == data.shape[1:] else ""
        least, most = _words(data.sizes.smallest), _words(data.sizes.largest)
        raise SpecError(
            ("data",),
            f"its images have sizes from {least} to {most}, and this superstructure takes one size only; "
            f"{unet}cut the images to one size",
        )


def _least(task: Task) -> int:
    match task:
        case Deblur():
            return task.kernel_size // 2 + 1
        case SuperResolve():
            return 2 * task.factor
        case _:
            return 1


def _words(size: tuple[int, int]) -> str:
    """Width × height, as people name it."""
    return f"{size[1]}×{size[0]}"
