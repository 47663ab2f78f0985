"""What every part of a specification shares: strictness, and the words of its refusals."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of a specification: immutable, exact about types, hostile to unknown fields, NaN and infinity."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class SpecError(ValueError):
    """A specification whose parts are each valid, but not together or not for this data.

    `loc` names the field as a path from the root of the specification; `message` says what to change.
    """

    def __init__(self, loc: Sequence[str | int], message: str) -> None:
        super().__init__(message)
        self.loc = tuple(loc)
        self.message = message
