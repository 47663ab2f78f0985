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


def classes(values: NDArray[Any], what: str, *, surely: bool = False) -> Mask | None:
    """The classes of each pixel of `values` (N, H, W), booleans or whole numbers; `what` names them to people.

    None where there are too many values for classes, so that these are images; `surely` says that they are not.
    Raises `DataInvalid` where the values are few but no classes, or only one.
    """
    found = np.unique(values)
    if len(found) > MOST_CLASSES:
        if surely:
            raise DataInvalid(
                f"{what} holds {len(found):,} different values, at most {MOST_CLASSES} classes; {_ADVICE}"
            )
        return None
    if len(found) == 1:
        raise DataInvalid(f"every pixel of {what} is {found[0]}; there is nothing to tell apart")
    top = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    if found.tolist() == [0, top]:
        return np.ascontiguousarray(values == top).astype(np.uint8)
    if found.tolist() != list(range(len(found))):
        shown = ", ".join(str(value) for value in found[:_SHOWN])
        more = f" … {found[-1]}" if len(found) > _SHOWN else ""
        raise DataInvalid(f"{what} holds the values {shown}{more}, which are no classes; {_ADVICE}")
    return np.ascontiguousarray(values).astype(np.uint8)


def partners(y: NDArray[Any], x: Inputs) -> Answers:
    """`y` of three axes or four as masks (N, H, W) or images (N, C, H, W) that go with the images `x`."""
    if len(y) != len(x):
        raise DataInvalid(f"y has {len(y)} entries for {len(x)} samples of x")
    brought = channels_first("y", y)
    if x.ndim != 4 or brought.shape[2:] != x.shape[2:]:
        raise DataInvalid(f"y has the shape {y.shape}, x {x.shape}: an image and its partner have one height and width")
    numbers = brought.shape[1] == 1 and brought.dtype.kind in "biu"
    mask = classes(brought[:, 0], "y") if numbers else None
    return mask if mask is not None else inputs(y, "y")


_ADVICE: Final = (
    "number the classes 0 … K-1 without gaps, or paint two with 0 and 255, and save masks without loss (PNG, not "
    "JPEG); there is no value for pixels to be ignored"
)
