"""What is there to say about an upload? Shape, range, counts, what is odd about it, and small pictures of it."""

import base64
import hashlib
import io
from collections import Counter
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.checked import Checked
from datasets.dataset import Dataset
from datasets.layout import Inputs
from datasets.splits import NAMES, TRAIN
from datasets.upload import Upload

PREVIEWS: Final = 8
_PREVIEW_SIDE: Final = 64
_MOST_CLASSES_SHOWN: Final = 1000


def of(upload: Upload) -> Checked:
    """The report on an upload."""
    data = upload.dataset
    told = data.description("uploaded")
    return Checked(
        format=upload.format,
        fingerprint=data.fingerprint,
        description={
            "kind": data.kind,
            "shape": list(data.shape),
            "classes": data.classes,
            "targets": data.targets,
            "count": len(data),
            "splits": {name: len(data.splits[name]) for name in NAMES},
            "range": _range(data),
            "labels": _labels(upload),
            "sizes": told.sizes and asdict(told.sizes),
            "pairs": told.pairs and asdict(told.pairs),
            "warnings": [*upload.warnings, *_oddities(data)],
            "previews": _previews(data),
        },
    )


def _range(data: Dataset) -> dict[str, float]:
    """Least, largest and mean value of x, without what lies beside images on their canvas."""
    scale = 255 if data.x.dtype == np.uint8 else 1
    samples = [data.x] if data.sizes is None else [data.image(index) for index in range(len(data))]
    total = sum(float(x.sum(dtype=np.float64)) for x in samples)
    return {
        "min": min(float(x.min()) for x in samples) / scale,
        "max": max(float(x.max()) for x in samples) / scale,
        "mean": total / sum(x.size for x in samples) / scale,
    }


def _labels(upload: Upload) -> dict[str, int] | None:
    """Samples by class, by the folder's name where it has one."""
    y, names = upload.dataset.y, upload.class_names
    if y is None or y.ndim != 1:
        return None
    counts = np.bincount(y.astype(np.int64))[:_MOST_CLASSES_SHOWN]
    return {names[label] if names else str(label): int(count) for label, count in enumerate(counts)}


def _oddities(data: Dataset) -> list[str]:
    said = []
    seen = Counter(hashlib.blake2b(sample.data, digest_size=16).digest() for sample in data.x)
    if twice := len(data) - len(seen):
        said.append(f"{twice:,} samples are copies of others; some may stand in training and test alike")
    if data.kind == "table" and (flat := int((data.x.min(0) == data.x.max(0)).sum())):
        said.append(f"{flat:,} of {data.shape[0]:,} columns are constant")
    if data.y is not None and data.y.ndim == 1:
        counts = np.bincount(data.y.astype(np.int64))
        if len(np.flatnonzero(counts)) == 1:
            said.append("all samples have one class; there is nothing to tell apart")
        if absent := int((counts == 0).sum()):
            said.append(f"{absent:,} classes below the largest label have no samples")
        if rare := int(((counts > 0) & (counts < len(NAMES))).sum()):
            said.append(f"{rare:,} classes have fewer than {len(NAMES)} samples, too few for every split")
    return said


def _previews(data: Dataset) -> list[str]:
    """The first training samples as PNGs in data URIs, at most 64 pixels wide and high; none of a table."""
    if data.kind == "table":
        return []
    return [_png(data.image(index)) for index in data.splits[TRAIN][:PREVIEWS]]


def _png(sample: Inputs) -> str:
    values: NDArray[Any] = sample if sample.dtype == np.uint8 else (sample * 255).round().astype(np.uint8)
    channels = 3 if len(values) >= 3 else 1
    image = Image.fromarray(values[0] if channels == 1 else np.ascontiguousarray(values[:3].transpose(1, 2, 0)))
    image.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
