"""The operations of the graph of groups, and its nodes.

Every node has `width` entries along its group axis (features or channels). The entries of a node without weights
are images of the entries of its sources:

| op         | entries                                                                            |
| ---------- | ---------------------------------------------------------------------------------- |
| `input`    | the channels (or features) of a sample, never removed                              |
| `flatten`  | every entry of its source becomes `repeat` neighbouring ones (its pixels)          |
| `concat`   | the sources' entries one after the other: offsets are the sums of widths           |
| `linear`   | its neurons; a *searched* layer may sleep in part                                  |
| `conv`     | its filters, `kernel`×`kernel`, zero-padded to the source's size                   |
| `upconv`   | its filters, a transposed convolution 2×2 of stride 2, cropped to the size of `like` |
| `constant` | a layer that nothing feeds any more: each entry has one value at all pixels of `like` |
| `pool`     | its source's, at half the size, rounded up                                         |
| `up`       | its source's, at twice the size, cropped to that of `like`                         |
| `sum`      | entry i is the sum of its sources' entries i                                       |
| `place`    | a full-sized output, into which the surviving entries of its source go             |
"""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from spec.base import Strict

Op = Literal["input", "flatten", "concat", "linear", "conv", "upconv", "constant", "pool", "up", "sum", "place"]
Activation = Literal["none", "silu", "gelu", "relu", "sigmoid"]
Mode = Literal["none", "max", "average", "nearest", "bilinear"]


@dataclass(frozen=True)
class Rule:
    """How an operation makes entries and pixels of those of its sources."""

    entries: Literal["own", "joined", "same"] = "own"
    """Its own, all of its sources' one after the other, or those of each source."""
    size: Literal["given", "none", "source", "half", "like"] = "source"
    """Height and width: the sample's, none, the first source's, half of that, or those of the node `like`."""
    weighted: bool = False
    """Whether it is a layer: one that has weights."""
    sources: tuple[int, int] = (1, 1)
    """How many sources it has at least and at most."""
    modes: tuple[Mode, ...] = ("none",)


_MANY = 10_000
RULES: dict[Op, Rule] = {
    "input": Rule(size="given", sources=(0, 0)),
    "flatten": Rule(entries="joined", size="none"),
    "concat": Rule(entries="joined", sources=(1, _MANY)),
    "linear": Rule(size="none", weighted=True),
    "conv": Rule(weighted=True),
    "upconv": Rule(size="like", weighted=True),
    "constant": Rule(size="like", weighted=True, sources=(0, 0)),
    "pool": Rule(entries="same", size="half", modes=("max", "average")),
    "up": Rule(entries="same", size="like", modes=("nearest", "bilinear")),
    "sum": Rule(entries="same", sources=(1, _MANY)),
    "place": Rule(),
}


class Node(Strict):
    """One node of the graph; see the module's table for what its entries are."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    op: Op
    width: int = Field(ge=1)
    sources: tuple[str, ...] = ()
    activation: Activation = "none"
    searched: bool = False
    """Whether the groups of this layer may sleep, and be removed."""
    repeat: int = Field(default=1, ge=1)
    """`flatten` only: how many entries one entry of the source becomes."""
    scalars: int = Field(default=0, ge=0)
    """`sum` only: how many of the last sources are multiplied by a scalar; at least the first enters as it is."""
    kernel: int = Field(default=1, ge=1)
    """Side of a layer's square kernel in pixels: odd of a `conv`, 2 of an `upconv`."""
    mode: Mode = "none"
    """How a `pool` or an `up` computes."""
    like: str = ""
    """The node whose height and width an `up`, `upconv` or `constant` has."""

    @model_validator(mode="after")
    def _fits_its_op(self) -> Self:
        rule, (least, most) = self.rule, self.rule.sources
        if not least <= len(self.sources) <= most:
            raise ValueError(f"node {self.name!r} is a {self.op}, which does not have {len(self.sources)} sources")
        if self.mode not in rule.modes:
            raise ValueError(f"node {self.name!r} is a {self.op}; its mode is {' or '.join(rule.modes)}")
        if (rule.size == "like") != bool(self.like):
            raise ValueError(
                f"node {self.name!r} is a {self.op}: `like` is for up, upconv and constant, and these need it"
            )
        if (self.op == "conv" and self.kernel % 2 == 0) or (self.op == "upconv" and self.kernel != 2):
            raise ValueError(f"node {self.name!r}: a conv has an odd kernel and an upconv one of 2, not {self.kernel}")
        return self

    @property
    def rule(self) -> Rule:
        """What its operation does."""
        return RULES[self.op]

    @property
    def plain(self) -> tuple[str, ...]:
        """The sources that enter as they are."""
        return self.sources[: len(self.sources) - self.scalars]

    @property
    def scaled(self) -> tuple[str, ...]:
        """The sources that a scalar multiplies, in its order."""
        return self.sources[len(self.sources) - self.scalars :]
