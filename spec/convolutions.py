"""What superstructures of convolutions share: their kernels, and what would keep them from being shrunk exactly."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from spec.graph import Activation, Node

MOST_CHANNELS = 4096


def _odd(side: int) -> int:
    if isinstance(side, int) and side % 2 == 0:
        raise ValueError(f"must be odd, so that it has a middle; {side} is even")
    return side


def _grouped(bias: Any) -> Any:
    if bias == "free":
        raise ValueError(
            "with free biases a sleeping filter emits a constant, which ends at the zeros around an image and so "
            "cannot be folded exactly; take grouped"
        )
    return bias


def _unnormalised(norm: Any) -> Any:
    if isinstance(norm, str) and norm != "none":
        raise ValueError(
            f"a norm makes channels depend on others (or on the batch), so {norm[:40]!r} cannot be shrunk exactly; "
            "leave it out"
        )
    return norm


Kernel = Annotated[int, Field(ge=1, le=31), BeforeValidator(_odd)]
Bias = Annotated[Literal["grouped"], BeforeValidator(_grouped)]
"""A filter's bias belongs to its group, so that a sleeping filter emits exactly 0."""
Norm = Annotated[Literal["none"], BeforeValidator(_unnormalised)]
"""There is none: see its refusal."""
Channels = Annotated[int, Field(ge=1, le=MOST_CHANNELS)]


def conv(name: str, width: int, source: str, kernel: int, activation: Activation) -> Node:
    """A searched convolution."""
    return Node(
        name=name, op="conv", width=width, sources=(source,), kernel=kernel, activation=activation, searched=True
    )
