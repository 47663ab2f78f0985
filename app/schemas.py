"""What does the API answer? The types of its documents, as the OpenAPI file shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from app.drawing import DrawnLayer
from spec import EXAMPLE
from store.searches import Search as Row
from store.states import State

T = TypeVar("T")

SEARCH_ID = r"^srch_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$"
_SPEC: Any = EXAMPLE
EXAMPLE_ID = "srch_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"


class _Document(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Progress(_Document):
    """How far the search is; null where that is not known (yet)."""

    stage: str | None
    """`search`, `finetune`, `compare`, `export`, in this order; those with nothing to do may be left out."""
    epoch: int | None
    """The last epoch of the stage that is done."""
    epochs: int | None
    """Epochs of the stage; trainings of a race that end within one count as one."""
    eta_s: float | None
    """Seconds until the end of all stages, estimated."""


class LayerActivity(_Document):
    """A layer of the superstructure, and how much of it is awake."""

    name: str
    width: int
    """Neurons in the superstructure."""
    active: int | None
    """Neurons that are active now; null before the first epoch."""


class Losses(_Document):
    """The newest losses; null before the first epoch."""

    train: float | None
    validation: float | None


class Failure(_Document):
    """Why a search failed."""

    code: str
    """Stable name of the reason, for programs."""
    message: str
    """What happened and what to change, for people."""


class Search(_Document):
    """A search: what was asked for, how far it is, what came out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": EXAMPLE_ID,
                    "object": "search",
                    "name": "small denoiser",
                    "status": "running",
                    "attempt": 1,
                    "spec": _SPEC,
                    "progress": {"stage": "search", "epoch": 12, "epochs": 30, "eta_s": 41.5},
                    "layers": [
                        {"name": "hidden1", "width": 784, "active": 212},
                        {"name": "hidden2", "width": 784, "active": 61},
                    ],
                    "parameters": 219_404,
                    "macs": 218_100,
                    "losses": {"train": 0.0123, "validation": 0.0131},
                    "metrics": {"psnr": 18.8},
                    "result": None,
                    "error": None,
                    "metadata": {"project": "x"},
                    "created_at": "2026-11-24T10:15:30.250000Z",
                    "started_at": "2026-11-24T10:15:31.125000Z",
                    "finished_at": None,
                }
            ]
        }
    )

    id: str
    object: Literal["search"] = "search"
    name: str
    status: State
    """`succeeded`, `failed` and `cancelled` are final. A client treats a status that it does not know as unfinished."""
    attempt: int
    """Rises when the search moves to another worker."""
    spec: dict[str, Any]
    """As it was accepted, with every default written out."""
    progress: Progress
    layers: list[LayerActivity]
    parameters: int | None
    """Parameters of the network as it is now; of the superstructure before the first epoch."""
    macs: int | None
    """Multiply-accumulate operations of one sample's forward pass, likewise."""
    losses: Losses
    metrics: dict[str, Any] | None
    result: dict[str, Any] | None
    """What was found, once the search has succeeded: the winner, and every candidate with its measures."""
    error: Failure | None
    metadata: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Row) -> "Search":
        """The document of a search's row."""
        return cls(
            id=row.id,
            name=row.name or "",
            status=row.state,
            attempt=row.attempt,
            spec=row.spec,
            progress=Progress(stage=row.stage, epoch=row.epoch, epochs=row.epochs, eta_s=row.eta_s),
            layers=[LayerActivity(**layer) for layer in row.layers],
            parameters=row.parameters,
            macs=row.macs,
            losses=Losses(train=row.train_loss, validation=row.validation_loss),
            metrics=row.metrics,
            result=row.result,
            error=Failure(code=row.error_code, message=row.error_message or "") if row.error_code else None,
            metadata=row.metadata,
            created_at=moment(row.created_at),
            started_at=None if row.started_at is None else moment(row.started_at),
            finished_at=None if row.finished_at is None else moment(row.finished_at),
        )


class Event(_Document):
    """Something that happened to a search."""

    id: int
    """The cursor: `after` of the list, `Last-Event-ID` of the stream."""
    object: Literal["event"] = "event"
    kind: str
    """`queued`, `starting`, `running`, `epoch`, `moved`, `succeeded`, `failed`, `cancelled`, … ; more may come."""
    attempt: int
    data: dict[str, Any]
    created_at: datetime


class Artifact(_Document):
    """A file that a search has published."""

    name: str
    object: Literal["artifact"] = "artifact"
    sha256: str
    """Of its bytes; the ETag of the download too."""
    size: int
    """Bytes."""
    media_type: str
    created_at: datetime
    url: str
    """Path of the download."""


class List(_Document, Generic[T]):
    """A part of a list. The next part: the same call with `after` set to `last_id`, while `has_more`."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool
    first_id: str | int | None
    last_id: str | int | None


class LayerHistory(_Document):
    """A layer over the epochs."""

    name: str
    width: int
    searched: bool
    """Whether its neurons may sleep."""
    active: list[int | None]
    """Active neurons, epoch by epoch."""


class History(_Document):
    """The time series of a search by columns: entry i of every list belongs to the i-th recorded epoch."""

    object: Literal["history"] = "history"
    id: str
    stages: list[str]
    epochs: list[int]
    """Numbers of the epochs in their stages."""
    train_loss: list[float | None]
    validation_loss: list[float | None]
    metrics: list[dict[str, Any] | None]
    lr: list[float | None]
    lam: list[float | None]
    parameters: list[int | None]
    macs: list[int | None]
    seconds: list[float | None]
    """What the epoch took."""
    layers: list[LayerHistory]


class EstimatedEpochs(_Document):
    """Epochs by stage."""

    search: int
    finetune: int
    """For the network that is delivered; the race of its learning rate takes up to 0.3 of it besides."""
    compare: int
    """Two whole trainings of a network of the found size: the most, where one has a few hundred steps."""
    seeds: int
    """How often all of that."""


class Possible(_Document):
    """The sizes that networks of a superstructure can have."""

    smallest: int
    """With one neuron left in every searched layer."""
    largest: int
    """The whole superstructure."""


class Estimate(_Document):
    """What a search would amount to, by closed form: nothing was queued, no data were read."""

    object: Literal["estimate"] = "estimate"
    parameters: int
    """Parameters of the whole superstructure."""
    possible: dict[str, Possible]
    """Possible targets, by `parameters`, `macs` and `neurons`."""
    target: int | None
    """The size asked for, as a number of what it is measured in; null without a target."""
    macs: int
    """Multiply-accumulate operations of one sample's forward pass through the superstructure."""
    memory_bytes: int
    """What training takes at most."""
    memory_limit_bytes: int
    """What this service allows."""
    epochs: EstimatedEpochs
    inputs: int
    """What the first layer reads: channels, features, or all pixels."""
    layers: list[DrawnLayer]
    seconds_guess: float
    """A guess and no measurement, for two CPU cores that do 5e10 floating-point operations a second:

    seeds × (search epochs × E(1) + (1.3 × finetune + compare) epochs × E(s)),
    where E(s) = s × training samples × 6 MACs / 5e10 + batches × 0.002.

    Six, since forward and backward pass are three times the forward one and a MAC is two operations; s is the share
    that the target asks for, and a quarter without one: how much smaller the found network is the search will tell."""


class PathEntry(_Document):
    """An architecture that a search met, as good as it was then."""

    k: int
    """Its index, for `POST /v1/searches/{id}/path/{k}`."""
    object: Literal["path_entry"] = "path_entry"
    epoch: int
    """Of the search."""
    widths: list[int]
    """Active neurons of the searched layers."""
    parameters: int
    macs: int
    validation: dict[str, float]
    """Loss and metric on the validation split."""


class Superstructure(_Document):
    """A kind of network to search in."""

    kind: str
    object: Literal["superstructure"] = "superstructure"
    description: str
    json_schema: dict[str, Any]
    """Of the field `superstructure` of a search."""
    example: dict[str, Any]


class Health(_Document):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Readiness(_Document):
    """The process can do its work."""

    status: Literal["ready"] = "ready"
    checks: dict[str, str]


def listed(data: list[T], ids: Sequence[str | int], *, has_more: bool = False) -> List[T]:
    """A part of a list, whose items have these ids."""
    return List(data=data, has_more=has_more, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None)


def moment(seconds: float) -> datetime:
    """Unix seconds as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
