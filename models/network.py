"""A network built from the graph of groups: superstructures and shrunk networks are the same class."""

import copy
import math

import torch
from torch import nn

from models.activation import activation
from spec.graph import Graph, Node


class Affine(nn.Module):
    """Standardise, or undo it, with fixed statistics: buffers, not parameters."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def standardize(self, x: torch.Tensor) -> torch.Tensor:
        """(x − mean) / std."""
        return (x - self.mean) / self.std

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """The inverse of `standardize`."""
        return x * self.std + self.mean


class Place(nn.Module):
    """Put the outputs that survived back among the constants of those that did not.

    `order[i]` says where output i stands in the concatenation of the surviving outputs and `constant`.
    """

    order: torch.Tensor
    constant: torch.Tensor

    def __init__(self, order: torch.Tensor, constant: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("constant", constant)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        sleeping = self.constant.expand(x.shape[0], -1)
        return torch.cat([x, sleeping], dim=1).index_select(1, self.order)


class Network(nn.Module):
    """The network that `graph` declares, with the preprocessing inside.

    Takes (batch, *graph.input_shape) in the data's own units and gives (batch, *graph.output_shape).
    `inputs` holds mean and standard deviation of the inputs, each broadcastable to one sample; `outputs` those of
    the regression targets, where the task has them. Weights are not initialised beyond torch's defaults; the scalars
    of a sum, `scalars[sum]` of shape (number of scaled sources,), are 0.
    """

    def __init__(self, graph: Graph, inputs: Affine | None = None, outputs: Affine | None = None) -> None:
        super().__init__()
        self.graph = graph
        # A network owns its buffers: two that share them could not be told apart in a checkpoint.
        self.inputs = copy.deepcopy(inputs) if inputs is not None else Affine(torch.zeros(()), torch.ones(()))
        self.outputs = copy.deepcopy(outputs)
        self.layers = nn.ModuleDict()
        self.scalars = nn.ParameterDict({n.name: torch.zeros(n.scalars) for n in graph.sums() if n.scalars})
        self.places = nn.ModuleDict()
        widths = {node.name: node.width for node in graph.nodes}
        for node in graph.layers():
            self.layers[node.name] = nn.Linear(widths[node.sources[0]], node.width)
        for node in graph.nodes:
            if node.op == "place" and (missing := node.width - widths[node.sources[0]]):
                self.places[node.name] = Place(torch.arange(node.width), torch.zeros(missing))

    def layer(self, node: Node) -> nn.Linear:
        """The module of a node that has weights."""
        module = self.layers[node.name]
        assert isinstance(module, nn.Linear)
        return module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *input_shape) → (batch, *output_shape)."""
        values: dict[str, torch.Tensor] = {}
        grouped = self.graph.bias == "grouped"
        for node in self.graph.nodes:
            sources = [values[name] for name in node.sources]
            match node.op:
                case "input":
                    value = self.inputs.standardize(x)
                case "flatten":
                    value = sources[0].flatten(1)
                case "concat":
                    value = torch.cat(sources, dim=1)
                case "linear":
                    value = activation(node.activation, grouped_bias=grouped)(self.layers[node.name](sources[0]))
                case "sum":
                    value = sum(sources[1 : len(node.plain)], start=sources[0])
                    for k, source in enumerate(sources[len(node.plain) :]):
                        value = value + self.scalars[node.name][k] * source
                case "place":
                    value = self.places[node.name](sources[0]) if node.name in self.places else sources[0]
            values[node.name] = value
        out = values[self.graph.nodes[-1].name].reshape(-1, *self.graph.output_shape)
        return self.outputs.restore(out) if self.outputs is not None else out


HEAD = 0.1  # of the head's deviation √(1 / fan_in) in a dense start


def he_(network: Network, generator: torch.Generator) -> Network:
    """Dense start: He's normal weights for hidden layers, a tenth of √(1 / fan_in) for the head, biases and scalars 0.

    A head of full size makes noise as large as the targets, which training first has to unlearn: on MNIST with noise of
    0.3 a network of one hidden layer was four times as far from the clean images after 8 epochs. Returns `network`.
    """
    layers = list(network.graph.layers())
    with torch.no_grad():
        for node in layers:
            linear = network.layer(node)
            gain = HEAD if node is layers[-1] else math.sqrt(2.0)
            draw = torch.randn(linear.weight.shape, generator=generator)
            linear.weight.copy_(draw * (gain / math.sqrt(linear.in_features)))
            linear.bias.zero_()
        for scalars in network.scalars.values():
            scalars.zero_()
    return network
