"""What a specification must know of the data to be planned: the shape of one sample and what goes with it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Pairs:
    """What goes with every image, of its size: another image of `channels`, or a mask (H, W) of classes 0 … K-1.

    `classes` is K of a mask (whose `channels` is 1), None of an image.
    """

    kind: Literal["image", "mask"]
    channels: int
    classes: int | None = None


@dataclass(frozen=True)
class Sizes:
    """Heights and widths in pixels of images that are not all of one size; each number over all splits.

    `in_training` says whether the training images differ among themselves.
    """

    smallest: tuple[int, int]
    largest: tuple[int, int]
    in_training: bool


@dataclass(frozen=True)
class DataShape:
    """`shape` is one sample's: (channels, height, width) of an image or (features,) of a table.

    Where images differ in size (`sizes`), it has the largest height and width of the training images.
    `classes` is the number of classes where the samples are labelled; `targets` the number of regression targets;
    `pairs` what goes with images where that is an image or a mask. `count` is the number of training samples;
    `bytes` what the whole set takes in memory.
    """

    kind: Literal["image", "table"]
    shape: tuple[int, ...]
    classes: int | None
    targets: int | None
    count: int
    bytes: int
    sizes: Sizes | None = None
    pairs: Pairs | None = None

    @property
    def smallest(self) -> tuple[int, int]:
        """The smallest height and the smallest width of any image, in pixels."""
        return self.sizes.smallest if self.sizes is not None else (self.shape[1], self.shape[2])
