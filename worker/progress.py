"""What a trainer says while it works: one JSON line a message, read by the worker that started it."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from spec.base import Strict

Stage = Literal["search", "finetune", "compare", "export"]


class Message(Strict):
    """A line of progress. Unlike in a specification, a loss may be anything a float can be."""

    model_config = ConfigDict(allow_inf_nan=True)


class Started(Message):
    """The trainer has read its data. `resumed` says from where it goes on, if not from the beginning."""

    kind: Literal["started"] = "started"
    fingerprint: str
    samples: dict[str, int]
    resumed: tuple[Stage, int] | None = None


class EpochDone(Message):
    """An epoch of a stage has ended. `counts` are the active groups of the searched layers, in order; losses are means.

    Epochs are numbered through all trainings of a stage. `parameters` and `macs` are those of what was trained.
    """

    kind: Literal["epoch"] = "epoch"
    stage: Stage
    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    metrics: dict[str, float]
    lr: float
    lam: float | None
    counts: dict[str, int]
    parameters: int
    macs: int
    share: float | None = None
    """Mean share of the superstructure's parameters that were in use during the epoch's steps."""
    seed: int
    trial: str | None = None
    """Which training it is an epoch of, where a stage has several."""
    seconds: float
    eta_s: float


class Previewed(Message):
    """What the network of an epoch makes of a few validation samples: strips of pictures as data URIs, and their mean
    PSNR in dB. `input` and `truth` are told once, with epoch 1."""

    kind: Literal["sample"] = "sample"
    stage: Stage
    epoch: int
    count: int
    psnr: float
    output: str
    input: str | None
    truth: str | None


class Checkpointed(Message):
    """A checkpoint is on disk, from which another trainer can go on."""

    kind: Literal["checkpoint"] = "checkpoint"
    stage: Stage
    epoch: int
    step: int
    """Batches trained on so far, over all stages: rises with every batch."""


class StageBegun(Message):
    """A new stage begins; `data` says what the one before it left."""

    kind: Literal["stage"] = "stage"
    stage: Stage
    epochs: int
    data: dict[str, Any] = Field(default_factory=dict)


class File(Message):
    """A file among the results, to be published under `name`."""

    name: str
    media_type: str


class Finished(Message):
    """All is done; the files lie in the results folder. `bundle` is the name of the zip among them."""

    kind: Literal["finished"] = "finished"
    result: dict[str, Any]
    files: list[File]
    bundle: str


class Failed(Message):
    """The search cannot succeed; `message` says what the user can change."""

    kind: Literal["failed"] = "failed"
    code: str
    message: str


AnyMessage = Annotated[
    Started | EpochDone | Previewed | Checkpointed | StageBegun | Finished | Failed, Field(discriminator="kind")
]
_adapter: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)


def parse(line: bytes) -> AnyMessage:
    """Read a line; raises pydantic.ValidationError where it is not a message."""
    return _adapter.validate_json(line)
