"""The rule that says which steps are cheaper: arithmetic, against multiplications that are counted one by one."""

import pytest
import torch

from models.price import Price
from spec import macs
from spec.convnet import Convnet
from spec.graph import kept_counts
from spec.mlp import Mlp
from spec.unet import Unet

GREY = (1, 32, 32)
GRAPHS = [
    Unet(kind="unet", levels=3, base=16, up="transposed").graph(GREY, GREY),
    Convnet(kind="convnet", channels=[16, 24], hidden=[32]).graph(GREY, (10,)),
]


@pytest.mark.parametrize("graph", GRAPHS, ids=["unet", "convnet"])
def test_the_work_of_a_step_is_that_of_its_three_products(graph):
    price = Price(graph)
    counts = {node.name: 1 + node.width // 3 for node in graph.searched()}
    kept, widths, first = kept_counts(graph, counts), kept_counts(graph), next(iter(graph.layers()))
    work = price.work(counts)
    assert work["dense"] == 3 * macs(graph) - _products(graph, first, widths, widths)
    assert work["alone"] == 3 * macs(graph, counts) - _products(graph, first, kept, kept)
    values = macs(graph, counts)
    of_inputs = sum(_products(graph, node, kept, widths) for node in graph.layers() if node is not first)
    of_weights = sum(_products(graph, node, widths, kept) for node in graph.layers())
    assert work["exact"] == values + of_inputs + of_weights
    everything = price.work(widths)
    assert everything["exact"] == everything["alone"] == everything["dense"] == work["dense"]


def _products(graph, node, outputs, inputs):
    sizes = graph.sizes()
    height, width = sizes[node.sources[0] if node.op == "upconv" else node.name] or (1, 1)
    return height * width * node.kernel**2 * outputs[node.name] * inputs[node.sources[0]]


def test_the_active_part_is_taken_where_it_saves_enough_and_never_where_a_layer_has_died_or_emits_constants():
    graph = Unet(kind="unet", levels=3, base=32).graph((1, 48, 48), (1, 48, 48))
    price, x = Price(graph), torch.zeros(8, 1, 48, 48)
    few = {node.name: node.width // 3 for node in graph.searched()}
    most = {node.name: node.width - 1 for node in graph.searched()}
    for way in ("exact", "alone"):
        assert price.pays(few, x, way)
        assert price.pays(few, torch.zeros(2, 1, 96, 96), way), "twice the side is four times the pixels"
        assert not price.pays(few, x[:, :, :8, :8], way), "too little work"
        assert not price.pays(most, x, way), "too little saved"
        assert not price.pays({**few, "down2_1": 0}, x, way)
    free = Mlp(kind="mlp", widths=[4096, 4096], bias="free").graph((4096,), (10,))
    assert not Price(free).pays({"hidden1": 4, "hidden2": 4}, torch.zeros(8192, 4096), "exact")
