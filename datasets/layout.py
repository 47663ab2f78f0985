"""How arrays as people store them become arrays as this project reads them.

Inputs `x`:
    (N, F)        a table, float32
    (N, H, W)     grey images, to (N, 1, H, W)
    (N, H, W, C)  and (N, C, H, W), to (N, C, H, W): the axis of 1 to 4 is the channels. Where both the second and
                  the last axis are 1 to 4 long, nobody can tell, and the array is refused.
Pixels are uint8 where they were bytes, else float32 between 0 and 1:
    uint8 stays; bool is 0 and 255; uint16 is divided by 65,535; other integers must lie in 0 … 255;
    floats must lie in [0, 1] (an overshoot of 1e-4, as resizing makes it, is clipped).
Answers `y`:
    integers (N,) or (N, 1)  labels 0 … K-1, int64
    floats (N,) or (N, T), integers (N, T > 1)  targets, float32 (N, T)
    (N, H, W) and more                          images or masks, one for each of x, and of its size
Every float must be finite.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataInvalid

MAX_BYTES: Final = 1 << 30  # of one file's arrays in memory; the readers' default
MAX_CLASSES: Final = 10_000  # a label of 10⁹ would ask for a head of 10⁹ neurons
CHANNELS: Final = range(1, 5)
OVERSHOOT: Final = 1e-4
KINDS: Final = "biuf"

Inputs = NDArray[np.uint8] | NDArray[np.float32]
Answers = NDArray[np.int64] | NDArray[np.float32] | NDArray[np.uint8]


def footprint(shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes an array of the file takes at most, as stored or as brought to our types; no array is needed."""
    count = 1
    for length in shape:
        count *= length
    if len(shape) < 3:  # tables, labels and targets become 4 or 8 bytes an element
        return count * max(itemsize, 8)
    return count * (1 if itemsize == 1 else max(itemsize, 4))


def inputs(x: NDArray[Any], name: str = "x") -> Inputs:
    """`x` in memory order as (N, C, H, W) or (N, F); see the module for the rule. May reuse `x`'s memory."""
    _check_kind(name, x)
    if x.ndim < 2 or x.ndim > 4:
        raise DataInvalid(
            f"{name} has the shape {x.shape}; (N, F) for a table, (N, H, W), (N, H, W, C) or (N, C, H, W) for images"
        )
    if 0 in x.shape:
        raise DataInvalid(f"{name} has the shape {x.shape} and thus no values")
    if x.ndim == 2:
        return np.ascontiguousarray(_finite_float32(name, x))
    pixels: Inputs = _pixels(name, np.ascontiguousarray(channels_first(name, x)))
    return pixels


def answers(y: NDArray[Any], count: int) -> Answers:
    """`y` as labels (N,) or targets (N, T) for `count` samples; see the module for the rule."""
    _check_kind("y", y)
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise DataInvalid(f"y has the shape {y.shape}; (N,) for labels, (N,) or (N, T) for targets")
    if len(y) != count:
        raise DataInvalid(f"y has {len(y)} entries for {count} samples of x")
    if y.dtype.kind == "f" or (y.ndim == 2 and y.shape[1] > 1):
        return np.ascontiguousarray(_finite_float32("y", y).reshape(count, -1))
    lowest, highest = int(y.min()), int(y.max())
    if lowest < 0 or highest >= MAX_CLASSES:
        raise DataInvalid(
            f"y holds integers from {lowest} to {highest}; number the classes 0 … K-1 with K at most {MAX_CLASSES:,},"
            " or save y as floats if these are targets of a regression"
        )
    return np.ascontiguousarray(y.reshape(count).astype(np.int64))


def _check_kind(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in KINDS:
        raise DataInvalid(f"{name} has the dtype {array.dtype}; booleans, integers and floats are read")


def channels_first(name: str, x: NDArray[Any]) -> NDArray[Any]:
    """Images of three axes or four as (N, C, H, W), a view."""
    if x.ndim == 3:
        return x[:, None]
    first, last = x.shape[1] in CHANNELS, x.shape[3] in CHANNELS
    if first and last:
        raise DataInvalid(
            f"{name} has the shape {x.shape}: both its second and its last axis could be channels; "
            "save grey images as (N, H, W), or images larger than 4 pixels"
        )
    if not first and not last:
        raise DataInvalid(f"{name} has the shape {x.shape}: neither its second nor its last axis is 1 to 4 channels")
    return x if first else x.transpose(0, 3, 1, 2)


def _pixels(name: str, x: NDArray[Any]) -> Inputs:
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind == "b":
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype.kind == "u" and x.dtype.itemsize == 2:
        wide = x.astype(np.float32)
        wide /= np.float32(65535)
        return wide
    if x.dtype.kind in "iu":
        lowest, highest = int(x.min()), int(x.max())
        if lowest < 0 or highest > 255:
            raise DataInvalid(
                f"{name} holds pixels from {lowest} to {highest} as {x.dtype}; save 0 … 255 as uint8, "
                "0 … 65535 as uint16, or floats between 0 and 1"
            )
        return x.astype(np.uint8)
    pixels = _finite_float32(name, x)
    darkest, brightest = float(pixels.min()), float(pixels.max())
    if darkest < -OVERSHOOT or brightest > 1 + OVERSHOOT:
        raise DataInvalid(
            f"{name} holds floating-point pixels from {darkest:g} to {brightest:g}; scale them to lie between 0 and 1,"
            " or save 0 … 255 as uint8"
        )
    if darkest < 0 or brightest > 1:
        pixels = pixels.clip(0, 1)
    return pixels


def _finite_float32(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
        narrow = array.astype(np.float32)
    if not (np.isfinite(narrow.min()) and np.isfinite(narrow.max())):  # a NaN passes through min and max
        raise DataInvalid(f"{name} holds values that are NaN, infinite or too large for float32; replace or drop them")
    return narrow
