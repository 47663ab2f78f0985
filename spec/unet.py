"""The U-Net superstructure: convolutions down to coarse levels and back up, with skips between equal sizes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from spec.base import SpecError, Strict
from spec.convolutions import MOST_CHANNELS, Bias, Kernel, Norm, conv
from spec.graph import Graph, Node

MOST_INPUTS = 4


class Unet(Strict):
    """A U-Net, every convolution of which finds its own width. It takes images of any size.

    Level 1 has the size of the image, each further one half of that, rounded up. The way back doubles the level below,
    cropped to the level's own size, and puts it behind the skip: what the level's last convolution gave on the way
    down.
    """

    kind: Literal["unet"]
    levels: int = Field(default=4, ge=1, le=8)
    """Sizes at which it looks: 4 are full, half, quarter and eighth resolution."""
    base: int = Field(default=32, ge=1, le=MOST_CHANNELS)
    """Channels of every convolution of level 1: the room in which the search looks."""
    growth: float = Field(default=2.0, ge=0.1, le=8)
    """How many times as many channels each further level has."""
    convolutions: int = Field(default=2, ge=1, le=8)
    """Convolutions of a level on the way down, and on the way up."""
    kernel: Kernel = 3
    """Side of their kernels in pixels, odd; images are padded with zeros."""
    up: Literal["nearest", "bilinear", "transposed"] = "bilinear"
    """How a level is doubled on the way up. "transposed": by a convolution with weights, searched as all others."""
    pool: Literal["max", "average"] = "max"
    """How it is halved on the way down."""
    activation: Literal["silu", "gelu", "relu"] = "silu"
    residual: bool = False
    """Whether the network gives the input and a correction: for tasks whose output is near the input."""
    bias: Bias = "grouped"
    norm: Norm = "none"

    @model_validator(mode="after")
    def _not_too_wide(self) -> Self:
        widest = max(self.width(1), self.width(self.levels))
        if widest > MOST_CHANNELS:
            raise ValueError(
                f"level {self.levels} would have {widest:,} channels, more than {MOST_CHANNELS:,}; "
                "take fewer levels, a smaller base or a smaller growth"
            )
        return self

    def width(self, level: int) -> int:
        """Channels of each convolution of a level (from 1)."""
        return max(1, round(self.base * self.growth ** (level - 1)))

    def graph(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Graph:
        """Declare the graph for images of `input_shape`, at which its costs are stated, and outputs of that size.

        Raises SpecError where data or task do not fit.
        """
        self._check(input_shape, output_shape)
        nodes = [Node(name="input", op="input", width=input_shape[0])]
        for level in range(1, self.levels + 1):
            if level > 1:
                above = nodes[-1]
                nodes.append(
                    Node(name=f"pool{level}", op="pool", width=above.width, sources=(above.name,), mode=self.pool)
                )
            self._convolve(nodes, f"down{level}", level)
        for level in range(self.levels - 1, 0, -1):
            skip, below, name = f"down{level}_{self.convolutions}", nodes[-1], f"grow{level}"
            if self.up == "transposed":
                grown = Node(
                    name=name,
                    op="upconv",
                    width=self.width(level),
                    sources=(below.name,),
                    like=skip,
                    kernel=2,
                    searched=True,
                )
            else:
                grown = Node(name=name, op="up", width=below.width, sources=(below.name,), like=skip, mode=self.up)
            both = self.width(level) + grown.width
            nodes += [grown, Node(name=f"join{level}", op="concat", width=both, sources=(skip, name))]
            self._convolve(nodes, f"up{level}", level)
        nodes.append(Node(name="head", op="conv", width=output_shape[0], sources=(nodes[-1].name,)))
        if self.residual:
            nodes.append(Node(name="output", op="sum", width=output_shape[0], sources=("head", "input")))
        return Graph(nodes=tuple(nodes), input_shape=input_shape, output_shape=output_shape)

    def _convolve(self, nodes: list[Node], name: str, level: int) -> None:
        for i in range(1, self.convolutions + 1):
            nodes.append(conv(f"{name}_{i}", self.width(level), nodes[-1].name, self.kernel, self.activation))

    def _check(self, given: tuple[int, ...], made: tuple[int, ...]) -> None:
        if len(given) != 3:
            raise SpecError(("data",), "a unet takes images, and this data set is a table; take an mlp")
        if given[0] > MOST_INPUTS:
            raise SpecError(("data",), f"a unet takes images of 1 to {MOST_INPUTS} channels; these have {given[0]}")
        if len(made) != 3 or made[1:] != given[1:]:
            raise SpecError(
                ("task",),
                "a unet gives images of the input's size, which is not what this task asks for; take a convnet",
            )
        most = min(given[1:]).bit_length()
        if self.levels > most:
            raise SpecError(
                ("superstructure", "levels"),
                f"images of {given[2]}×{given[1]} pixels can be halved {most - 1} times: take at most {most} levels",
            )
        if self.residual and made[0] != given[0]:
            raise SpecError(
                ("superstructure", "residual"),
                f"the output has {made[0]} channels and the input {given[0]}, so they cannot be added; leave it out",
            )
