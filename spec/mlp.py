"""The MLP superstructure: fully connected layers, each with more neurons than the task will need."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from spec.base import Strict
from spec.graph import Activation, Graph, Node

Width = Annotated[int, Field(ge=1, le=65_536)]


class Mlp(Strict):
    """A multilayer perceptron. Five hidden layers are six Linear layers: the head comes by itself."""

    kind: Literal["mlp"]
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=64, strict=False)]
    """Neurons of every hidden layer: the room in which the search looks."""
    activation: Literal["silu", "gelu", "relu"] = "silu"
    bias: Literal["grouped", "free"] = "grouped"
    """"grouped": a neuron's bias belongs to its group, so that a sleeping neuron emits exactly 0.
    "free": the published form, biases outside the groups (they are folded when the network is shrunk)."""
    output_activation: Literal["none", "relu", "sigmoid"] = "none"
    group_head: bool = False
    """Whether the outputs are searched too (the published autoencoders do); their inactive outputs are constants."""

    @model_validator(mode="after")
    def _silent_outputs(self) -> Self:
        if self.group_head and self.bias == "grouped" and self.output_activation == "sigmoid":
            raise ValueError(
                "group_head with output_activation sigmoid would make a sleeping output 0.5; "
                "use output_activation none or relu, or bias free"
            )
        return self

    def graph(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Graph:
        """Declare the graph for samples of `input_shape` and outputs of `output_shape`."""
        channels, pixels = input_shape[0], math.prod(input_shape[1:])
        nodes = [Node(name="input", op="input", width=channels)]
        if len(input_shape) > 1:
            nodes.append(Node(name="pixels", op="flatten", width=channels * pixels, sources=("input",), repeat=pixels))
        for i, width in enumerate(self.widths, start=1):
            nodes.append(self._layer(f"hidden{i}", width, nodes[-1].name, self.activation, searched=True))
        outputs = math.prod(output_shape)
        nodes.append(self._layer("head", outputs, nodes[-1].name, self.output_activation, searched=self.group_head))
        if self.group_head:
            nodes.append(Node(name="output", op="place", width=outputs, sources=("head",)))
        return Graph(nodes=tuple(nodes), input_shape=input_shape, output_shape=output_shape, bias=self.bias)

    @staticmethod
    def _layer(name: str, width: int, source: str, activation: Activation, *, searched: bool) -> Node:
        return Node(name=name, op="linear", width=width, sources=(source,), activation=activation, searched=searched)
