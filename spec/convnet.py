"""The convolutional superstructure: convolutions and poolings, then fully connected layers."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from spec.base import SpecError, Strict
from spec.convolutions import Bias, Channels, Kernel, Norm, conv
from spec.graph import Graph, Node
from spec.mlp import Width


class Convnet(Strict):
    """Convolutions, each of which may be followed by a pooling, then hidden layers as an MLP has them.

    `{"channels": [64, 64], "kernel": 5, "hidden": [128]}` is the network that Bungert, Roith, Tenbrinck and Burger
    (JMLR 23(192), 2022) search on Fashion-MNIST, 64c5-64c5-128-10.
    """

    kind: Literal["convnet"]
    channels: Annotated[tuple[Channels, ...], Field(min_length=1, max_length=32, strict=False)]
    """Filters of every convolution: the room in which the search looks."""
    hidden: Annotated[tuple[Width, ...], Field(max_length=16, strict=False)] = ()
    """Neurons of every fully connected layer between the convolutions and the head."""
    kernel: Kernel = 3
    """Side of the kernels in pixels, odd; images are padded with zeros."""
    pool: Literal["max", "average"] = "max"
    """How images are halved, sizes rounded up."""
    pool_after: Annotated[tuple[int, ...], Field(max_length=32, strict=False)] | None = None
    """The convolutions, counted from 1, after which they are; after every one where not given."""
    activation: Literal["silu", "gelu", "relu"] = "silu"
    bias: Bias = "grouped"
    norm: Norm = "none"

    @model_validator(mode="after")
    def _pools_follow_convolutions(self) -> Self:
        last = len(self.channels)
        if self.pool_after is not None and sorted(set(self.pool_after) & set(range(1, last + 1))) != list(
            self.pool_after
        ):
            raise ValueError(f"pool_after has numbers of convolutions, 1 to {last}, rising and each once")
        return self

    def graph(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Graph:
        """Declare the graph for images of `input_shape` and outputs of `output_shape`.

        Raises SpecError where the data do not fit.
        """
        if len(input_shape) != 3:
            raise SpecError(("data",), "a convnet takes images, and this data set is a table; take an mlp")
        nodes = [Node(name="input", op="input", width=input_shape[0])]
        size: tuple[int, ...] = input_shape[1:]
        for i, width in enumerate(self.channels, start=1):
            nodes.append(conv(f"conv{i}", width, nodes[-1].name, self.kernel, self.activation))
            if self.pool_after is None or i in self.pool_after:
                if max(size) == 1:
                    raise SpecError(
                        ("superstructure", "pool_after"),
                        f"images of {input_shape[2]}×{input_shape[1]} pixels are down to one before convolution {i}; "
                        f"name fewer convolutions, {math.ceil(math.log2(max(input_shape[1:])))} at most",
                    )
                nodes.append(Node(name=f"pool{i}", op="pool", width=width, sources=(f"conv{i}",), mode=self.pool))
                size = tuple((pixels + 1) // 2 for pixels in size)
        pixels = math.prod(size)
        last = nodes[-1]
        nodes.append(Node(name="pixels", op="flatten", width=last.width * pixels, sources=(last.name,), repeat=pixels))
        for i, width in enumerate(self.hidden, start=1):
            nodes.append(
                Node(
                    name=f"hidden{i}",
                    op="linear",
                    width=width,
                    sources=(nodes[-1].name,),
                    activation=self.activation,
                    searched=True,
                )
            )
        nodes.append(Node(name="head", op="linear", width=math.prod(output_shape), sources=(nodes[-1].name,)))
        return Graph(nodes=tuple(nodes), input_shape=input_shape, output_shape=output_shape)
