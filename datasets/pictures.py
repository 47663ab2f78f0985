"""Reads one image through Pillow: its header first, its pixels only when its size is known to be harmless.

PNG, JPEG, BMP, PPM and TIFF, by content. Pixels come as grey (1, H, W) or colour (3, H, W): palettes are looked up,
transparency is drawn onto white, 16-bit grey stays 16-bit; 16-bit colour Pillow reads with 8 bits. A JPEG is turned as
its EXIF says, as every viewer shows it (Pillow itself does so for TIFF).
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from datasets.errors import DataInvalid, printable, refusing
from datasets.recognise import HEAD, named

FORMATS: Final = ("PNG", "JPEG", "BMP", "PPM", "TIFF")
MAX_PIXELS: Final = 1 << 24  # of one image: 4096 × 4096
_GREY: Final = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I")
_COLOUR: Final = ("RGB", "RGBA", "CMYK", "YCbCr")
_PALETTE: Final = ("P", "PA")
_ORIENTATION: Final = 274  # the EXIF tag
_SIDEWAYS: Final = (5, 6, 7, 8)

# Pillow's own limit warns at one size and raises at another; ours refuses in words, in `header`.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Picture:
    """What an image's header says. `grey` needs one channel; `deep` is 16-bit grey; `narrowed` 16-bit colour.

    `width` and `height` are those of the image as it is shown, turned where it is `turned`.
    """

    width: int
    height: int
    grey: bool
    deep: bool
    palette: bool
    transparent: bool
    narrowed: bool
    converted: bool
    turned: bool


def header(raw: bytes, name: str) -> Picture:
    """The header alone. Raises `DataInvalid` for what is no image, too large, or of a kind that is not read."""
    with _opened(raw, name) as image:
        width, height = image.size
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise DataInvalid(f"{name} has {width} × {height} pixels; at most {MAX_PIXELS:,} are read; make it smaller")
        if image.mode not in (*_GREY, *_COLOUR, *_PALETTE):
            raise DataInvalid(f"{name} has the pixel format {image.mode}; save it as grey or RGB with 8 or 16 bits")
        frames: int = getattr(image, "n_frames", 1)
        if frames > 1:
            raise DataInvalid(f"{name} holds {frames} pictures (an animation or pages); save each alone")
        orientation = image.getexif().get(_ORIENTATION, 1) if image.format == "JPEG" else 1
        if orientation in _SIDEWAYS:
            width, height = height, width
        palette = image.mode in _PALETTE
        deep = image.mode.startswith("I")
        return Picture(
            width=width,
            height=height,
            grey=_is_grey(image.getpalette()) if palette else image.mode in _GREY,
            deep=deep,
            palette=palette,
            transparent=image.mode in ("LA", "PA", "RGBA") or ("transparency" in image.info and not deep),
            narrowed=image.format == "PNG" and raw[24:25] == b"\x10" and not deep,
            converted=image.mode in ("CMYK", "YCbCr"),
            turned=orientation != 1,
        )


def pixels(raw: bytes, name: str, picture: Picture, channels: int) -> NDArray[Any]:
    """The pixels as uint8 (channels, H, W), uint16 where the image is deep; `channels` is 1 or 3."""
    with _opened(raw, name) as image:
        if picture.deep:
            return _deep(np.asarray(image), name)[None]
        drawn: Image.Image = ImageOps.exif_transpose(image) if picture.turned else image
        if picture.transparent:
            drawn = Image.new("RGBA", image.size, "white")
            drawn.alpha_composite(image.convert("RGBA"))
        values = np.asarray(drawn.convert("L" if channels == 1 else "RGB"), dtype=np.uint8)
        return values[None] if channels == 1 else values.transpose(2, 0, 1)


def classes(raw: bytes, name: str) -> NDArray[np.uint8]:
    """The numbers of a palette's colours as uint8 (1, H, W): what a mask with a palette means."""
    with _opened(raw, name) as image:
        return np.asarray(image.getchannel(0) if image.mode == "PA" else image, dtype=np.uint8)[None]


@contextmanager
def _opened(raw: bytes, name: str) -> Iterator[Image.Image]:
    with refusing(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(io.BytesIO(raw), formats=FORMATS)
        except UnidentifiedImageError:
            what = named(raw[:HEAD])
            raise DataInvalid(
                f"{printable(name, 80)} is {what}, or damaged, and no image; {', '.join(FORMATS)} are read"
            ) from None
        with opened as image:
            yield image


def _is_grey(palette: list[int] | None) -> bool:
    colours = np.array(palette or [0, 0, 0]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _deep(values: NDArray[Any], name: str) -> NDArray[np.uint16]:
    if values.min() < 0 or values.max() > 65535:
        raise DataInvalid(f"{name} holds values from {values.min()} to {values.max()}; save grey with 8 or 16 bits")
    return values.astype(np.uint16)
