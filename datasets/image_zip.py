"""Reads a zip of images: all in one folder, a folder a class, or `image/` with `label/` for pairs and masks.

A label is a mask where its values are classes (`datasets.masks`), else an image; in `mask/` it must be a mask.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from datasets import archive, masks
from datasets.errors import DataInvalid, printable, refusing
from datasets.layout import MAX_BYTES, MAX_CLASSES, Answers, Inputs, inputs
from datasets.splits import Indices
from datasets.stack import File, Stack, stack
from datasets.zip_names import Member, members

LONGEST_DIRECTORY: Final = 16 << 20
IMAGES: Final = frozenset({"image", "images"})
MASKS: Final = frozenset({"mask", "masks"})
LABELS: Final = frozenset({"label", "labels"}) | MASKS
_SPLITS: Final = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})


@dataclass(frozen=True)
class Images:
    """What a zip holds, as `datasets.dataset` has it: y are labels of folders, or masks or images of `label/`."""

    x: Inputs
    y: Answers | None
    sizes: Indices | None
    class_names: tuple[str, ...] | None
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
        images = _stack(opened, found, max_bytes)
        x = inputs(images.x)
        if len(folders) == 1:
            return Images(x, None, images.sizes, None, images.said)
        if len(folders) > MAX_CLASSES:
            raise DataInvalid(f"{path.name} holds {len(folders):,} folders; at most {MAX_CLASSES:,} classes are read")
        number = {folder: index for index, folder in enumerate(folders)}
        labels = np.array([number[member.folder] for member in found], dtype=np.int64)
        return Images(x, labels, images.sizes, tuple(printable(folder, 80) for folder in folders), images.said)


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
    x = _stack(opened, [images[stem] for stem in stems], max_bytes // 2)
    y = _stack(opened, [labels[stem] for stem in stems], max_bytes // 2, as_labels=True)
    _check_partners(x, y, [(images[stem], labels[stem]) for stem in stems])
    where = next(iter(labels.values())).folder
    mask = masks.classes(y.x[:, 0]) if y.x.shape[1] == 1 else "they have colours"
    if isinstance(mask, str) and where.lower() in MASKS:
        raise masks.refusal(f"{where}/", mask)
    partners = inputs(y.x) if isinstance(mask, str) else mask
    said = (masks.read_as(partners, f"{where}/"), *x.said, *(f"{where}/: {words}" for words in y.said))
    return Images(inputs(x.x), partners, x.sizes, None, said)


def _check_partners(x: Stack, y: Stack, members: Sequence[tuple[Member, Member]]) -> None:
    """Refuse an image whose label has another size."""
    sizes = [part.sizes if part.sizes is not None else np.full((len(part.x), 2), part.x.shape[2:]) for part in (x, y)]
    others = np.flatnonzero((sizes[0] != sizes[1]).any(1))
    if len(others):
        image, label = members[others[0]]
        (h, w), (height, width) = sizes[0][others[0]], sizes[1][others[0]]
        raise DataInvalid(
            f"{len(others):,} labels have another size than their image: {image.path} has {w}×{h} pixels, {label.path} "
            f"{width}×{height}; save both in one size"
        )


def _stack(opened: zipfile.ZipFile, found: Sequence[Member], max_bytes: int, *, as_labels: bool = False) -> Stack:
    files = [File(member.path, partial(archive.content, opened, member.info)) for member in found]
    return stack(files, max_bytes, as_labels=as_labels)
