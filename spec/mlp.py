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
    skips: Literal["none", "searched"] = "none"
    """"searched": connections past layers are found too. Every hidden layer l, all of one width, then gives
    x_l = σ(W_l x_{l-1} + b_l) + Σ_j s_lj x_j over the hidden layers j < l (inputs and head take no part). The scalars s
    begin at 0; those still 0 at the end are gone. Neuron i is neuron i of all of these layers: they have one width."""

    @model_validator(mode="after")
    def _silent_outputs(self) -> Self:
        if self.group_head and self.bias == "grouped" and self.output_activation == "sigmoid":
            raise ValueError(
                "group_head with output_activation sigmoid would make a sleeping output 0.5; "
                "use output_activation none or relu, or bias free"
            )
        return self

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if self.skips == "searched" and len(self.widths) < 2:
            raise ValueError("skips lead past a layer: with skips searched give two hidden layers or more")
        if self.skips == "searched" and len(set(self.widths)) > 1:
            raise ValueError(
                "skips add layers neuron by neuron: with skips searched give all widths the same number, "
                f"such as {[max(self.widths)] * len(self.widths)}"
            )
        return self

    def graph(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Graph:
        """Declare the graph for samples of `input_shape` and outputs of `output_shape`."""
        channels, pixels = input_shape[0], math.prod(input_shape[1:])
        nodes = [Node(name="input", op="input", width=channels)]
        if len(input_shape) > 1:
            nodes.append(Node(name="pixels", op="flatten", width=channels * pixels, sources=("input",), repeat=pixels))
        stream: tuple[str, ...] = ()
        for i, width in enumerate(self.widths, start=1):
            nodes.append(self._layer(f"hidden{i}", width, nodes[-1].name, self.activation, searched=True))
            if self.skips == "searched":
                if stream:
                    sources = (nodes[-1].name, *stream)
                    nodes.append(Node(name=f"stream{i}", op="sum", width=width, sources=sources, scalars=len(stream)))
                stream = (*stream, nodes[-1].name)
        outputs = math.prod(output_shape)
        nodes.append(self._layer("head", outputs, nodes[-1].name, self.output_activation, searched=self.group_head))
        if self.group_head:
            nodes.append(Node(name="output", op="place", width=outputs, sources=("head",)))
        return Graph(nodes=tuple(nodes), input_shape=input_shape, output_shape=output_shape, bias=self.bias)

    @staticmethod
    def _layer(name: str, width: int, source: str, activation: Activation, *, searched: bool) -> Node:
        return Node(name=name, op="linear", width=width, sources=(source,), activation=activation, searched=searched)
