"""Which classes does a mask name? Values as people save them become 0 … K-1, or are refused in words.

A mask holds one whole number a pixel: the classes 0 … K-1 themselves, each somewhere in the set, or 0 and the largest
value of its type (0 and 255, 0 and 65,535), as programs that paint masks save two classes.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataInvalid
from datasets.layout import Answers, Inputs, channels_first, inputs

MOST_CLASSES: Final = 32
_SHOWN: Final = 5

Mask = NDArray[np.uint8]


def classes(values: NDArray[Any]) -> Mask | str:
    """The classes of each pixel of `values` (N, H, W), booleans or whole numbers; or in words why they are none."""
    found = np.unique(values)
    if len(found) > MOST_CLASSES:
        return f"{len(found):,} different values are too many for classes, of which there are at most {MOST_CLASSES}"
    if len(found) == 1:
        return f"every pixel is {found[0]}"
    top = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    if found.tolist() == [0, top]:
        return np.ascontiguousarray(values == top).astype(np.uint8)
    if found.tolist() != list(range(len(found))):
        shown = ", ".join(str(value) for value in found[:_SHOWN])
        return f"the values {shown}{f' … {found[-1]}' if len(found) > _SHOWN else ''} are no classes 0 … K-1"
    return np.ascontiguousarray(values).astype(np.uint8)


def refusal(where: str, why: str) -> DataInvalid:
    """What to say of masks that are none."""
    return DataInvalid(
        f"{where} holds no masks: {why}; number the classes 0 … K-1 without gaps, or paint two with 0 and 255, and "
        "save them without loss (PNG, not JPEG); there is no value for pixels to be ignored"
    )


def partners(y: NDArray[Any], x: Inputs) -> Answers:
    """`y` of three axes or four as masks (N, H, W) or images (N, C, H, W) that go with the images `x`."""
    if len(y) != len(x):
        raise DataInvalid(f"y has {len(y)} entries for {len(x)} samples of x")
    brought = channels_first("y", y)
    if x.ndim != 4 or brought.shape[2:] != x.shape[2:]:
        raise DataInvalid(f"y has the shape {y.shape}, x {x.shape}: an image and its partner have one height and width")
    numbers = brought.shape[1] == 1 and brought.dtype.kind in "biu"
    mask = classes(brought[:, 0]) if numbers else ""
    return inputs(y, "y") if isinstance(mask, str) else mask


def read_as(y: Answers, where: str) -> str:
    """How partners were read, in words for people."""
    if y.ndim == 3:
        return f"{where} was read as masks of {int(y.max()) + 1} classes"
    why = classes(y[:, 0]) if y.shape[1] == 1 and y.dtype == np.uint8 else ""
    return f"{where} was read as images" + (f": {why}" if isinstance(why, str) and why else "")
