"""Random networks for the tests: any widths, masks, biases, forms, with and without a concatenation."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from models.network import Affine, Network
from spec.graph import Graph, Node
from spec.mlp import Mlp

ACTIVATIONS = {"grouped": ("silu", "gelu", "relu"), "free": ("silu", "gelu", "relu")}


@dataclass
class Case:
    network: Network
    masks: dict[str, torch.Tensor]
    seed: int


def sleep_(network: Network, masks: dict[str, torch.Tensor]) -> None:
    """Put the groups outside the masks to sleep: exact zeros, as the prox leaves them."""
    with torch.no_grad():
        for node in network.graph.searched():
            linear = network.layer(node)
            linear.weight[~masks[node.name]] = 0
            if network.graph.bias == "grouped":
                linear.bias[~masks[node.name]] = 0


def skip_graph(width: int, bias: str) -> Graph:
    """Two layers read by a third through a concatenation: their entries have offsets."""
    nodes = (
        Node(name="input", op="input", width=1),
        Node(name="pixels", op="flatten", width=6, sources=("input",), repeat=6),
        Node(name="a", op="linear", width=width, sources=("pixels",), activation="silu", searched=True),
        Node(name="b", op="linear", width=width + 1, sources=("a",), activation="gelu", searched=True),
        Node(name="both", op="concat", width=2 * width + 1, sources=("a", "b")),
        Node(name="head", op="linear", width=4, sources=("both",)),
    )
    return Graph(nodes=nodes, input_shape=(1, 2, 3), output_shape=(4,), bias=bias)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bias = draw(st.sampled_from(["grouped", "free"]))
    if draw(st.booleans()):
        graph = skip_graph(draw(st.integers(1, 9)), bias)
    else:
        mlp = Mlp(
            kind="mlp",
            widths=draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)),
            activation=draw(st.sampled_from(ACTIVATIONS[bias])),
            bias=bias,
            group_head=draw(st.booleans()),
            output_activation=draw(st.sampled_from(["none", "relu"])),
        )
        shape = draw(st.sampled_from([(1, 2, 3), (3, 2, 2), (5,)]))
        graph = mlp.graph(shape, draw(st.sampled_from([shape, (7,)])))
    seed = draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    shape = graph.input_shape
    per_channel = (shape[0], 1, 1) if len(shape) == 3 else shape
    network = Network(
        graph,
        Affine(torch.randn(per_channel, generator=generator), 0.5 + torch.rand(per_channel, generator=generator)),
    ).double()
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    masks = {}
    for node in graph.searched():
        alive = draw(st.lists(st.booleans(), min_size=node.width, max_size=node.width))
        alive[draw(st.integers(0, node.width - 1))] = True
        masks[node.name] = torch.tensor(alive)
    sleep_(network, masks)
    return Case(network, masks, seed)
