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


def wake_(network: Network, alive: torch.Tensor) -> None:
    """Set the scalars outside `alive`, bool over all of them in order, to 0."""
    with torch.no_grad():
        for scalars, lives in zip(
            network.scalars.values(), alive.split([len(s) for s in network.scalars.values()]), strict=True
        ):
            scalars[~lives] = 0


def stream_graph(width: int, bias: str, depth: int = 4, activation: str = "silu") -> Graph:
    """An MLP with skips: its hidden layers have one index set."""
    mlp = Mlp(kind="mlp", widths=[width] * depth, activation=activation, bias=bias, skips="searched")
    return mlp.graph((1, 2, 3), (4,))


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
    form = draw(st.sampled_from(["mlp", "mlp", "concat", "sum"]))
    if form == "concat":
        graph = skip_graph(draw(st.integers(1, 9)), bias)
    elif form == "sum":
        activation = draw(st.sampled_from(ACTIVATIONS[bias]))
        graph = stream_graph(draw(st.integers(1, 9)), bias, draw(st.integers(2, 4)), activation)
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
    for names in graph.index_sets():
        width = graph[names[0]].width
        alive = draw(st.lists(st.booleans(), min_size=width, max_size=width))
        alive[draw(st.integers(0, width - 1))] = True
        masks |= dict.fromkeys(names, torch.tensor(alive))
    sleep_(network, masks)
    count = sum(len(scalars) for scalars in network.scalars.values())
    wake_(network, torch.tensor(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=torch.bool))
    return Case(network, masks, seed)
