"""What does the API say of a data set? One document for those of the catalogue and the uploaded ones."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from app.schemas import moment
from datasets.catalogue import Listed
from store.datasets import Dataset as Row


class ValueRange(BaseModel):
    """The values of x, as a search sees them: pixels lie in [0, 1]."""

    min: float
    max: float
    mean: float


class Pairs(BaseModel):
    """What goes with every image: an image of so many channels, or a mask of so many classes (0 … K-1)."""

    kind: Literal["mask", "image"]
    channels: int
    classes: int | None


class Sizes(BaseModel):
    """The sizes (height, width) of images that differ; each number over all of them."""

    smallest: tuple[int, int]
    largest: tuple[int, int]
    in_training: bool
    """Whether the training images differ among themselves."""


class DataSet(BaseModel):
    """A data set that a search may name: by its `name` in the catalogue, or by the `id` of an uploaded one."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str | None
    """`dset_…` of an uploaded set; null for one of the catalogue."""
    name: str
    """In the catalogue; of an uploaded set the name of its file, which need not be unique."""
    object: Literal["dataset"] = "dataset"
    available: bool
    reason: str | None
    """Why it cannot be used on this server, and what to do about it."""
    format: str | None
    """What was uploaded: `npz`, `idx` or `images`."""
    kind: Literal["image", "table"] | None
    shape: list[int] | None
    """Of one sample: (channels, height, width) or (features); of images that differ, of the largest in training."""
    sizes: Sizes | None
    """Set where images differ in size."""
    classes: int | None
    targets: int | None
    count: int | None
    """Samples of all splits."""
    splits: dict[str, int] | None
    range: ValueRange | None
    labels: dict[str, int] | None
    """Samples by class, under the names of the folders where there were any."""
    pairs: Pairs | None
    warnings: list[str]
    """What was odd about an upload, and what was done about it."""
    fingerprint: str | None
    """SHA-256 over the values and the splits, whatever the file was."""
    size: int | None
    """Bytes, as stored."""
    previews: list[str] | None
    """Up to 8 training images as data URIs; null in lists."""
    source: str | None
    """Origin and licence."""
    created_at: datetime | None


def of_catalogue(listed: Listed) -> DataSet:
    """The document of a named set."""
    known = listed.description
    return DataSet(
        id=None,
        name=listed.name,
        available=listed.available,
        reason=listed.reason,
        format=None,
        kind=known and known.kind,
        shape=known and list(known.shape),
        sizes=known and known.sizes and Sizes(**asdict(known.sizes)),
        classes=known and known.classes,
        targets=known and known.targets,
        count=known and known.count,
        splits=known and dict(known.splits),
        range=None,
        labels=None,
        pairs=known and known.pairs and Pairs(**asdict(known.pairs)),
        warnings=[],
        fingerprint=None,
        size=None,
        previews=None,
        source=known and known.source,
        created_at=None,
    )


def of_upload(row: Row, *, with_previews: bool) -> DataSet:
    """The document of an uploaded set."""
    said: dict[str, Any] = {"sizes": None} | {k: v for k, v in row.description.items() if k != "previews"}
    if said["pairs"] is not None and "channels" not in said["pairs"]:  # as an older version wrote it
        said["pairs"] = None
    return DataSet(
        id=row.id,
        name=row.name,
        available=True,
        reason=None,
        format=row.format,
        fingerprint=row.fingerprint,
        size=row.size,
        previews=row.description["previews"] if with_previews else None,
        source="uploaded",
        created_at=moment(row.created_at),
        **said,
    )
