"""Many images as one array: every header is read before the first pixel is, so that what does not fit costs little.

Images of different sizes lie in the upper left corner of a canvas that holds the largest, zero beside them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets import pictures
from datasets.errors import DataInvalid
from datasets.layout import footprint
from datasets.pictures import Picture
from datasets.splits import Indices


@dataclass(frozen=True)
class File:
    """A file somewhere: how it is named to people, and how its bytes are had."""

    path: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Stack:
    """Images as uint8 or uint16 (N, C, H, W); `sizes` (N, 2) where they differ; what had to be done, in words."""

    x: NDArray[Any]
    sizes: Indices | None
    said: tuple[str, ...]


def stack(files: Sequence[File], max_bytes: int, *, as_labels: bool = False) -> Stack:
    """Read images; `as_labels` says that a palette's colours only name classes. Raises `DataInvalid`."""
    headers = [pictures.header(file.read(), file.path) for file in files]
    numbered = as_labels and all(picture.palette for picture in headers)
    channels = 1 if numbered or all(picture.grey for picture in headers) else 3
    deep = any(picture.deep for picture in headers)
    if deep and channels == 3:
        raise DataInvalid("16-bit grey images are mixed with colour ones; save all alike")
    sizes = np.array([(picture.height, picture.width) for picture in headers], dtype=np.int64)
    height, width = (int(side) for side in sizes.max(0))
    equal = bool((sizes == (height, width)).all())
    shape = (len(files), channels, height, width)
    needed = footprint(shape, 2 if deep else 1)
    if needed > max_bytes:
        room = "images of" if equal else "images of different sizes, kept on one canvas of"
        raise DataInvalid(f"{len(files):,} {room} {width}×{height} need {needed:,} bytes; at most {max_bytes:,} fit")
    x: NDArray[Any] = np.zeros(shape, dtype=np.uint16 if deep else np.uint8)
    for target, file, picture in zip(x, files, headers, strict=True):
        values = (
            pictures.classes(file.read(), file.path)
            if numbered
            else pictures.pixels(file.read(), file.path, picture, channels)
        )
        wide = deep and not picture.deep and not numbered  # 255 × 257 = 65,535
        target[:, : picture.height, : picture.width] = values.astype(np.uint16) * 257 if wide else values
    said = _said(headers, channels, numbered=numbered)
    return Stack(x, None, said) if equal else Stack(x, sizes, (_different(files, headers), *said))


def _different(files: Sequence[File], headers: Sequence[Picture]) -> str:
    """Which sizes there are, in words."""
    sizes = Counter((picture.width, picture.height) for picture in headers)
    first: dict[tuple[int, int], str] = {}
    for file, picture in zip(files, headers, strict=True):
        first.setdefault((picture.width, picture.height), file.path)
    shown = "; ".join(f"{w}×{h}: {count:,} (such as {first[w, h]})" for (w, h), count in sizes.most_common(4))
    more = f"; and {len(sizes) - 4:,} other sizes" if len(sizes) > 4 else ""
    return f"the images have {len(sizes):,} sizes: {shown}{more}; only networks of any image size take them"


def _said(headers: Sequence[Picture], channels: int, *, numbered: bool) -> tuple[str, ...]:
    """What had to be done to how many images, in words."""
    deep = sum(picture.deep for picture in headers)
    palette_as = "numbers of its colours" if numbered else "RGB" if channels == 3 else "grey"
    counts = {
        "are 16-bit grey and were kept so, as value / 65,535": deep,
        "are 8-bit beside 16-bit ones and were scaled up": len(headers) - deep if deep else 0,
        "are 16-bit colour and were read with 8 bits": sum(p.narrowed for p in headers),
        f"have a palette and were read as {palette_as}": sum(p.palette for p in headers),
        "have transparency, which was drawn onto white": sum(p.transparent for p in headers) if not numbered else 0,
        "are CMYK or YCbCr and were turned into RGB": sum(p.converted for p in headers),
        "are grey among colour ones and were read as RGB": sum(p.grey for p in headers) if channels == 3 else 0,
        "were turned as their EXIF says": sum(p.turned for p in headers),
    }
    return tuple(f"{count:,} of {len(headers):,} images {words}" for words, count in counts.items() if count)
