"""Reads a zip of images: all in one folder, a folder a class, or `image/` with `label/` for pairs and masks.

Every image's header is read before the first pixel is: one size, one kind, and a total that fits.
"""

import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from datasets import archive, pictures
from datasets.errors import DataInvalid, printable, refusing
from datasets.layout import MAX_BYTES, MAX_CLASSES, footprint
from datasets.pictures import Picture
from datasets.zip_names import Member, members

LONGEST_DIRECTORY: Final = 16 << 20
IMAGES: Final = frozenset({"image", "images"})
LABELS: Final = frozenset({"label", "labels", "mask", "masks"})
_SPLITS: Final = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
MOST_MASK_VALUES: Final = 32

PairKind = Literal["mask", "image"]


@dataclass(frozen=True)
class Images:
    """What a zip holds: `x` (N, C, H, W) uint8 or uint16, and labels of folders, or `pairs` of the same layout."""

    x: NDArray[Any]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...] | None
    pairs: NDArray[Any] | None
    pair_kind: PairKind | None
    warnings: tuple[str, ...]


def read(path: Path, max_bytes: int = MAX_BYTES) -> Images:
    """Everything that the zip holds. Raises `DataInvalid`."""
    with refusing(path.name), archive.opened(path, LONGEST_DIRECTORY, "a zip of images") as opened:
        found = members(opened, path.name)
        folders = sorted({member.folder for member in found})
        kinds = {folder.lower() for folder in folders}
        if kinds & LABELS and (kinds & IMAGES or len(kinds) == 1):
            return _pairs(opened, found, max_bytes)
        if len(kinds) > 1 and kinds <= _SPLITS:
            raise DataInvalid(
                f"{path.name} holds the folders {', '.join(folders)}; the splits are made here, from a fixed seed: put "
                "the images of all of them together"
            )
        x, warnings = _stack(opened, found, max_bytes)
        if len(folders) == 1:
            return Images(x, None, None, None, None, warnings)
        if len(folders) > MAX_CLASSES:
            raise DataInvalid(f"{path.name} holds {len(folders):,} folders; at most {MAX_CLASSES:,} classes are read")
        number = {folder: index for index, folder in enumerate(folders)}
        labels = np.array([number[member.folder] for member in found], dtype=np.int64)
        return Images(x, labels, tuple(printable(folder, 80) for folder in folders), None, None, warnings)


def _pairs(opened: zipfile.ZipFile, found: Sequence[Member], max_bytes: int) -> Images:
    images = {member.stem: member for member in found if member.folder.lower() in IMAGES}
    labels = {member.stem: member for member in found if member.folder.lower() in LABELS}
    if not images:
        raise DataInvalid("the zip holds labels without images; put the images into image/, under the same names")
    if len(images) + len(labels) < len(found):
        raise DataInvalid(
            "the zip holds image/ and label/ and other files, or two of one name; every image needs one label of the "
            "same name, and nothing else belongs into the zip"
        )
    for alone, what, lacking in (
        (labels.keys() - images, "label", "image"),
        (images.keys() - labels, "image", "label"),
    ):
        if alone:
            shown = ", ".join(f"'{printable(stem, 40)}'" for stem in sorted(alone)[:3])
            raise DataInvalid(f"{len(alone):,} files in {what}/ have no {lacking} of the same name: {shown}")
    stems = sorted(images)
    x, of_images = _stack(opened, [images[stem] for stem in stems], max_bytes // 2)
    pairs, of_labels = _stack(opened, [labels[stem] for stem in stems], max_bytes // 2, as_labels=True)
    values = np.unique(pairs)
    kind: PairKind = "mask" if pairs.shape[1] == 1 and len(values) <= MOST_MASK_VALUES else "image"
    said = f"label/ was read as {'masks' if kind == 'mask' else 'images'}; the tasks offered today use image/ alone"
    return Images(x, None, None, pairs, kind, (said, *of_images, *(f"label/: {words}" for words in of_labels)))


def _stack(
    opened: zipfile.ZipFile, found: Sequence[Member], max_bytes: int, *, as_labels: bool = False
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The images as one array (N, C, H, W), and what had to be done to them."""
    headers = [pictures.header(archive.content(opened, member.info), member.path) for member in found]
    width, height = _one_size(found, headers)
    numbered = as_labels and all(picture.palette for picture in headers)  # a palette's colours only name the classes
    channels = 1 if numbered or all(picture.grey for picture in headers) else 3
    deep = any(picture.deep for picture in headers)
    if deep and channels == 3:
        raise DataInvalid("the zip mixes 16-bit grey images with colour ones; save all alike")
    shape = (len(found), channels, height, width)
    needed = footprint(shape, 2 if deep else 1)
    if needed > max_bytes:
        raise DataInvalid(f"{len(found):,} images of {width}×{height} need {needed:,} bytes; at most {max_bytes:,} fit")
    x: NDArray[Any] = np.empty(shape, dtype=np.uint16 if deep else np.uint8)
    for index, (member, picture) in enumerate(zip(found, headers, strict=True)):
        raw = archive.content(opened, member.info)
        if numbered:
            x[index] = pictures.classes(raw, member.path)
            continue
        values = pictures.pixels(raw, member.path, picture, channels)
        x[index] = values.astype(np.uint16) * 257 if deep and not picture.deep else values  # 255 × 257 = 65,535
    return x, _said(headers, channels, numbered=numbered)


def _one_size(found: Sequence[Member], headers: Sequence[Picture]) -> tuple[int, int]:
    sizes = Counter((picture.width, picture.height) for picture in headers)
    if len(sizes) == 1:
        return next(iter(sizes))
    first: dict[tuple[int, int], str] = {}
    for member, picture in zip(found, headers, strict=True):
        first.setdefault((picture.width, picture.height), member.path)
    shown = "; ".join(f"{w}×{h}: {count:,} (such as {first[w, h]})" for (w, h), count in sizes.most_common(4))
    more = f"; and {len(sizes) - 4} other sizes" if len(sizes) > 4 else ""
    raise DataInvalid(f"the images have {len(sizes)} sizes, one is needed: {shown}{more}; cut or resize them to one")


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
