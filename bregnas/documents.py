"""What the API answers, as a client reads it: fields and words that a newer service adds are kept and do no harm."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
"""Statuses that never change; one that is not known here counts as unfinished."""


class Document(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True, protected_namespaces=())


class Progress(Document):
    """How far the search is; None where that is not known (yet)."""

    stage: str | None = None
    """`search`, `finetune`, `compare`, `export`, in this order."""
    epoch: int | None = None
    epochs: int | None = None
    eta_s: float | None = None
    """Seconds until the end of all stages, estimated."""


class LayerActivity(Document):
    """A layer of the superstructure: its neurons, and how many of them are active."""

    name: str
    width: int
    active: int | None = None


class Losses(Document):
    """The newest losses."""

    train: float | None = None
    validation: float | None = None


class Failure(Document):
    """Why a search failed: a stable name for programs, and words that say what to change."""

    code: str
    message: str = ""


class SearchDocument(Document):
    """A search: what was asked for, how far it is, what came out."""

    id: str
    object: str = "search"
    name: str = ""
    status: str
    attempt: int = 1
    spec: dict[str, Any]
    """As it was accepted, with every default written out."""
    progress: Progress = Field(default_factory=Progress)
    layers: list[LayerActivity] = Field(default_factory=list)
    parameters: int | None = None
    macs: int | None = None
    losses: Losses = Field(default_factory=Losses)
    metrics: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    """What was found, once the search has succeeded: the winner, and every candidate with its measures."""
    error: Failure | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in TERMINAL


class Event(Document):
    """Something that happened to a search; `id` is the cursor after which `watch` goes on."""

    id: int
    object: str = "event"
    kind: str
    attempt: int = 1
    data: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime | None = None


class Artifact(Document):
    """A file that a search has published."""

    name: str
    object: str = "artifact"
    sha256: str
    size: int
    media_type: str = "application/octet-stream"
    created_at: datetime | None = None
    url: str = ""


class LayerHistory(Document):
    """A layer over the epochs."""

    name: str
    width: int
    searched: bool = True
    active: list[int | None]


class History(Document):
    """The time series of a search by columns: entry i of every list belongs to the i-th recorded epoch."""

    id: str
    object: str = "history"
    stages: list[str]
    epochs: list[int]
    train_loss: list[float | None]
    validation_loss: list[float | None]
    metrics: list[dict[str, Any] | None]
    lr: list[float | None]
    lam: list[float | None]
    parameters: list[int | None]
    macs: list[int | None]
    seconds: list[float | None]
    layers: list[LayerHistory]


class EstimatedEpochs(Document):
    """Epochs by stage."""

    search: int
    finetune: int
    compare: int
    seeds: int


class EstimatedLayer(Document):
    """A layer that has weights."""

    name: str
    width: int
    searched: bool
    stride: int = 1
    reads: list[str] = []


class Possible(Document):
    """The sizes that networks of a superstructure can have."""

    smallest: int
    largest: int


class Estimate(Document):
    """What a search would amount to, by closed form: nothing was queued."""

    object: str = "estimate"
    parameters: int
    possible: dict[str, Possible]
    """Possible targets, by `parameters`, `macs` and `neurons`."""
    target: int | None = None
    macs: int
    memory_bytes: int
    memory_limit_bytes: int
    epochs: EstimatedEpochs
    inputs: int = 0
    layers: list[EstimatedLayer]
    seconds_guess: float
    """A guess and no measurement, for two CPU cores."""


class PathEntry(Document):
    """An architecture that a search met on its way; `k` is its index for `Search.train`."""

    k: int
    object: str = "path_entry"
    epoch: int
    widths: list[int]
    parameters: int
    macs: int
    validation: dict[str, float]


class DataSet(Document):
    """A data set that a search may name: by its `name` in the catalogue, or by the `id` of an uploaded one."""

    id: str | None = None
    name: str
    object: str = "dataset"
    available: bool = True
    reason: str | None = None
    """Why it cannot be used on that server, and what to do about it."""
    format: str | None = None
    kind: str | None = None
    shape: list[int] | None = None
    sizes: dict[str, Any] | None = None
    classes: int | None = None
    targets: int | None = None
    count: int | None = None
    splits: dict[str, int] | None = None
    range: dict[str, float] | None = None
    labels: dict[str, int] | None = None
    pairs: dict[str, Any] | None = None
    warnings: list[str] = Field(default_factory=list)
    """What was odd about an upload, and what was done about it."""
    fingerprint: str | None = None
    size: int | None = None
    previews: list[str] | None = None
    source: str | None = None
    created_at: datetime | None = None

    @property
    def reference(self) -> str:
        """What a search says in `data`."""
        return self.id or self.name


class Architecture(Document):
    """A candidate of a search that has succeeded."""

    object: str = "architecture"
    search_id: str
    candidate: str
    superstructure: str
    task: str
    data: str
    widths: list[int]
    parameters: int
    macs: int
    loss: float
    metrics: dict[str, Any] = Field(default_factory=dict)
    shape: str
    waist: int | None = None
    waist_depth: float | None = None
    waist_ratio: float | None = None
    won: bool
    created_at: datetime | None = None


class Superstructure(Document):
    """A kind of network to search in, with the JSON Schema of its settings."""

    kind: str
    object: str = "superstructure"
    description: str
    json_schema: dict[str, Any]
    example: dict[str, Any]


class Page(Document, Generic[T]):
    """A part of a list."""

    data: list[T]
    has_more: bool = False
    last_id: str | int | None = None
