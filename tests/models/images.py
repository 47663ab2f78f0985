"""Random U-Nets and convolutional networks for the tests: any depth, widths, masks and image sizes."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from models.network import Affine, Network
from spec.convnet import Convnet
from spec.graph import Graph
from spec.unet import Unet

UPS = ("nearest", "bilinear", "transposed")


@dataclass
class Case:
    network: Network
    sizes: list[tuple[int, int]]
    seed: int


def filled(graph: Graph, seed: int, dtype: torch.dtype = torch.float64) -> Network:
    """A network with random weights of about Kaiming's size, random biases and preprocessing."""
    generator = torch.Generator().manual_seed(seed)
    shape = (graph.input_shape[0], 1, 1)
    network = Network(
        graph, Affine(torch.randn(shape, generator=generator), 0.5 + torch.rand(shape, generator=generator))
    ).double()
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
        draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = draw * (2 / fan_in) ** 0.5
    return network.to(dtype)


def sleep_(network: Network, masks: dict[str, torch.Tensor]) -> None:
    """Put the groups outside the masks to sleep: exact zeros, as the prox leaves them."""
    with torch.no_grad():
        for name, mask in masks.items():
            for rows in network.rows(network.graph[name]).values():
                rows[~mask] = 0


def image(network: Network, size: tuple[int, int], dtype: torch.dtype, seed: int = 0, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, network.graph.input_shape[0], *size)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@st.composite
def unets(draw: st.DrawFn, least: int = 4) -> Unet:
    return Unet(
        kind="unet",
        levels=draw(st.integers(1, least)),
        base=draw(st.integers(1, 6)),
        growth=draw(st.sampled_from([0.5, 1.0, 1.5, 2.0])),
        convolutions=draw(st.integers(1, 3)),
        kernel=draw(st.sampled_from([1, 3, 5])),
        up=draw(st.sampled_from(UPS)),
        pool=draw(st.sampled_from(["max", "average"])),
        activation=draw(st.sampled_from(["silu", "gelu", "relu"])),
        residual=draw(st.booleans()),
    )


@st.composite
def convnets(draw: st.DrawFn) -> Convnet:
    channels = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    return Convnet(
        kind="convnet",
        channels=channels,
        hidden=draw(st.lists(st.integers(1, 8), max_size=2)),
        kernel=draw(st.sampled_from([1, 3, 5])),
        pool=draw(st.sampled_from(["max", "average"])),
        pool_after=draw(st.sampled_from([None, (), (1,)])),
        activation=draw(st.sampled_from(["silu", "gelu", "relu"])),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A network some of whose groups sleep; now and then a whole layer does, but never those that lead to the head."""
    if draw(st.booleans()):
        unet = draw(unets())
        channels = draw(st.integers(1, 4))
        outputs = channels if unet.residual else draw(st.integers(1, 3))
        graph = unet.graph((channels, 16, 16), (outputs, 16, 16))
        sizes = draw(st.lists(st.tuples(st.integers(1, 21), st.integers(1, 21)), min_size=3, max_size=3))
        may_die = {n.name for n in graph.searched() if not n.name.startswith(("down1_", "up1_"))}
    else:
        shape = (draw(st.integers(1, 3)), draw(st.integers(8, 13)), draw(st.integers(8, 13)))
        graph = draw(convnets()).graph(shape, draw(st.sampled_from([(5,), shape])))
        sizes, may_die = [shape[1:]], set()
    seed = draw(st.integers(0, 2**31))
    network = filled(graph, seed)
    masks = {}
    for node in graph.searched():
        alive = draw(st.lists(st.booleans(), min_size=node.width, max_size=node.width))
        if node.name not in may_die or draw(st.integers(0, 5)):
            alive[draw(st.integers(0, node.width - 1))] = True
        masks[node.name] = torch.tensor(alive)
    sleep_(network, masks)
    return Case(network, sizes, seed)
