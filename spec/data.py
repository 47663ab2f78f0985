"""What a specification must know of the data to be planned: the shape of one sample and what goes with it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DataShape:
    """`shape` is one sample's: (channels, height, width) of an image or (features,) of a table.

    `classes` is the number of classes where the samples are labelled; `targets` the number of regression targets.
    `count` is the number of training samples; `bytes` what the whole set takes in memory.
    """

    kind: Literal["image", "table"]
    shape: tuple[int, ...]
    classes: int | None
    targets: int | None
    count: int
    bytes: int
