"""The superstructures of convolutions: what they declare, what that costs by hand, and what is refused in words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spec import Graph, Node, SpecError, explain, kept_counts, kept_indices, macs, parameters, possible
from spec.convnet import Convnet
from spec.graph import read_nodes, used
from spec.unet import Unet

GREY = (1, 32, 32)


@given(
    levels=st.integers(1, 4),
    base=st.integers(1, 9),
    convolutions=st.integers(1, 3),
    kernel=st.sampled_from([1, 3, 5]),
    up=st.sampled_from(["nearest", "bilinear", "transposed"]),
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    channels=st.integers(1, 4),
    outputs=st.integers(1, 5),
)
def test_a_unet_costs_what_its_convolutions_do_written_out(
    levels, base, convolutions, kernel, up, size, channels, outputs
):
    unet = Unet(kind="unet", levels=levels, base=base, convolutions=convolutions, kernel=kernel, up=up)
    graph = unet.graph((channels, *size), (outputs, *size))
    widths = [base * 2**level for level in range(levels)]
    pixels = [math.prod(-(-side // 2**level) for side in size) for level in range(levels)]
    weights = products = 0

    def add(inputs, filters, taps, positions):
        nonlocal weights, products
        weights += filters * (inputs * taps + 1)
        products += filters * inputs * taps * positions

    inputs = channels
    for level in range(levels):
        for _ in range(convolutions):
            add(inputs, widths[level], kernel**2, pixels[level])
            inputs = widths[level]
    for level in reversed(range(levels - 1)):
        if up == "transposed":
            add(inputs, widths[level], 4, pixels[level + 1])
            inputs = widths[level]
        inputs += widths[level]
        for _ in range(convolutions):
            add(inputs, widths[level], kernel**2, pixels[level])
            inputs = widths[level]
    add(inputs, outputs, 1, pixels[0])
    assert parameters(graph) == weights
    assert macs(graph) == products
    twice = graph.at(2 * size[0], 2 * size[1])
    assert parameters(twice) == weights
    if all(side % 2 ** (levels - 1) == 0 for side in size):
        assert macs(twice) == 4 * products


def test_a_unet_of_three_levels_reads_its_skips_beside_what_was_doubled():
    graph = Unet(kind="unet", levels=3, base=8, growth=1.5, convolutions=1).graph(GREY, GREY)
    assert [node.name for node in graph.layers()] == ["down1_1", "down2_1", "down3_1", "up2_1", "up1_1", "head"]
    assert [node.width for node in graph.layers()] == [8, 12, 18, 12, 8, 1]
    assert graph["join2"].sources == ("down2_1", "grow2")
    assert graph["join1"].width == 8 + 12
    assert [graph[name].activation for name in ("up1_1", "head")] == ["silu", "none"]
    assert len(graph.index_sets()) == 5, "every convolution has groups of its own, and the head is not searched"
    kept = kept_indices(graph, {"down1_1": [2, 5], "up2_1": [0, 11]})
    assert kept["join1"] == [2, 5, 8, 19]
    assert (graph.reach(), graph.stride()) == (1 + 2 + 4 + 4 + 2 + 2 + 1, 4)
    assert graph.sizes()["down3_1"] == (8, 8)
    assert graph.at(33, 7).sizes()["down3_1"] == (9, 2)


def test_the_net_that_was_published_for_fashion_mnist():
    graph = Convnet(kind="convnet", channels=[64, 64], kernel=5, hidden=[128], activation="relu").graph(
        (1, 28, 28), (10,)
    )
    assert [node.name for node in graph.nodes][1:] == ["conv1", "pool1", "conv2", "pool2", "pixels", "hidden1", "head"]
    assert parameters(graph) == 64 * 26 + 64 * (64 * 25 + 1) + 128 * (64 * 49 + 1) + 10 * 129
    assert macs(graph) == 64 * 25 * 784 + 64 * 64 * 25 * 196 + 128 * 64 * 49 + 1280
    few = {"conv1": 2, "conv2": 3, "hidden1": 5}
    assert parameters(graph, few) == 2 * 26 + 3 * (2 * 25 + 1) + 5 * (3 * 49 + 1) + 10 * 6
    assert kept_indices(graph, {"conv2": [1]})["pixels"] == list(range(49, 98))
    assert possible(graph)["neurons"] == (3, 256)
    with pytest.raises(ValueError, match="takes samples of shape"):
        graph.at(14, 14)


@st.composite
def nested(draw: st.DrawFn) -> tuple[Graph, dict[str, list[int]], dict[str, list[tuple[str, int]]]]:
    """Layers, and concatenations and flattenings of whatever came before; by hand: the layer and row of every entry."""
    nodes = [Node(name="input", op="input", width=2)]
    rows: dict[str, list[tuple[str, int]]] = {"input": [("input", 0), ("input", 1)]}
    active = {}
    for i in range(draw(st.integers(1, 8))):
        name, op = f"n{i}", draw(st.sampled_from(["linear", "linear", "flatten", "concat"]))
        if op == "linear":
            width = draw(st.integers(1, 5))
            nodes.append(Node(name=name, op="linear", width=width, sources=(nodes[-1].name,), searched=True))
            rows[name] = [(name, row) for row in range(width)]
            active[name] = sorted(draw(st.sets(st.integers(0, width - 1))))
        else:
            many = st.lists(st.sampled_from(sorted(rows)), min_size=1, max_size=1 if op == "flatten" else 3)
            sources, repeat = draw(many), draw(st.integers(1, 3)) if op == "flatten" else 1
            tags = [tag for source in sources for tag in rows[source]]
            rows[name] = [tags[k] for k in np.repeat(np.arange(len(tags)), repeat)]
            nodes.append(Node(name=name, op=op, width=len(rows[name]), sources=tuple(sources), repeat=repeat))
    return Graph(nodes=tuple(nodes), input_shape=(2,), output_shape=(1,)), active, rows


@given(nested())
def test_entries_of_nested_joins_are_those_whose_neuron_is_awake(case):
    graph, active, rows = case
    kept = kept_indices(graph, active)
    alive = {(layer, row) for layer, those in active.items() for row in those} | {("input", 0), ("input", 1)}
    assert kept == {name: [i for i, tag in enumerate(tags) if tag in alive] for name, tags in rows.items()}
    counts = {name: len(those) for name, those in active.items()}
    assert kept_counts(graph, counts) == {name: len(entries) for name, entries in kept.items()}


def test_what_only_leads_to_a_layer_without_channels_is_unread():
    graph = Unet(kind="unet", levels=3, base=4, convolutions=1).graph(GREY, GREY)
    full = {node.name: node.width for node in graph.searched()}
    assert used(graph, full) == full
    assert used(graph, {**full, "up2_1": 0}) == {**dict.fromkeys(full, 0), "down1_1": 4, "up1_1": 4}
    assert used(graph, {**full, "down3_1": 0}) == {**full, "down3_1": 0}
    assert "pool2" not in read_nodes(graph, kept_counts(graph, {**full, "up2_1": 0}))


def unet(**changes):
    return {"kind": "unet", **changes}


def convnet(**changes):
    return {"kind": "convnet", "channels": [4, 4], **changes}


@pytest.mark.parametrize(
    ("posted", "loc", "words"),
    [
        (unet(levels=0), "levels", "greater than or equal to 1"),
        (unet(levels=9), "levels", "less than or equal to 8"),
        (unet(kernel=4), "kernel", "must be odd, so that it has a middle; 4 is even"),
        (unet(kernel="3"), "kernel", "valid integer"),
        (unet(base=64, levels=8), "", "level 8 would have 8,192 channels, more than 4,096; take fewer levels"),
        (unet(bias="free"), "bias", "cannot be folded exactly; take grouped"),
        (unet(norm="batch"), "norm", "'batch' cannot be shrunk exactly; leave it out"),
        (unet(up="cubic"), "up", "'nearest', 'bilinear' or 'transposed'"),
        (unet(dropout=0.1), "dropout", "unknown field 'dropout'"),
        (unet(growth=float("nan")), "growth", "finite"),
        (convnet(channels=[]), "channels", "at least 1"),
        (convnet(channels=[5000]), "channels.0", "less than or equal to 4096"),
        (convnet(pool_after=[3]), "", "numbers of convolutions, 1 to 2, rising and each once"),
        (convnet(pool_after=[2, 1]), "", "rising and each once"),
        (convnet(bias="free"), "bias", "take grouped"),
        (convnet(hidden=[0]), "hidden.0", "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field_and_what_to_write(posted, loc, words):
    model = {"unet": Unet, "convnet": Convnet}[posted["kind"]]
    with pytest.raises(ValidationError) as error:
        model.model_validate(posted)
    (problem,) = explain(error.value, model)
    assert ".".join(map(str, problem.loc)) == loc
    assert words in problem.msg


@pytest.mark.parametrize(
    ("superstructure", "shapes", "loc", "words"),
    [
        (Unet(kind="unet"), ((10,), (10,)), "data", "this data set is a table; take an mlp"),
        (Unet(kind="unet"), ((5, 32, 32), (5, 32, 32)), "data", "1 to 4 channels; these have 5"),
        (Unet(kind="unet"), (GREY, (10,)), "task", "take a convnet"),
        (Unet(kind="unet"), (GREY, (1, 64, 64)), "task", "images of the input's size"),
        (
            Unet(kind="unet", levels=5),
            ((1, 12, 40), (1, 12, 40)),
            "superstructure.levels",
            "images of 40×12 pixels can be halved 3 times: take at most 4 levels",
        ),
        (
            Unet(kind="unet", residual=True),
            (GREY, (3, 32, 32)),
            "superstructure.residual",
            "has 3 channels and the input 1",
        ),
        (Convnet(kind="convnet", channels=[4]), ((10,), (3,)), "data", "is a table; take an mlp"),
        (
            Convnet(kind="convnet", channels=[4, 4, 4]),
            ((1, 3, 4), (3,)),
            "superstructure.pool_after",
            "images of 4×3 pixels are down to one before convolution 3; name fewer convolutions, 2 at most",
        ),
    ],
)
def test_what_does_not_fit_the_data_or_the_task_is_refused_before_training(superstructure, shapes, loc, words):
    with pytest.raises(SpecError) as error:
        superstructure.graph(*shapes)
    assert ".".join(map(str, error.value.loc)) == loc
    assert words in error.value.message


CONV = {"op": "conv", "width": 2, "sources": ("input",), "kernel": 3}
UP = {"name": "u", "op": "up", "width": 2, "sources": ("half",), "mode": "nearest"}
IMAGE = [
    Node(name="input", op="input", width=1),
    Node(name="a", **CONV),
    Node(name="half", op="pool", width=2, sources=("a",), mode="max"),
]


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (lambda: Node(name="b", **{**CONV, "kernel": 2}), "a conv has an odd kernel"),
        (lambda: Node(name="b", op="upconv", width=1, sources=("half",), like="a", kernel=3), "an upconv one of 2"),
        (lambda: Node(name="b", op="pool", width=2, sources=("a",)), "its mode is max or average"),
        (lambda: Node(**UP), "`like` is for up"),
        (lambda: Node(**{**UP, "sources": ()}, like="a"), "does not have 0 sources"),
        (lambda: Node(**UP, like="b"), "reads 'b', which does not stand before it"),
        (lambda: Node(**UP, like="half"), r"doubles \(3, 2\); 'half' has \(3, 2\)"),
        (lambda: Node(**{**UP, "width": 3}, like="a"), "has width 3, its sources give 2"),
        (lambda: Node(name="b", op="concat", width=4, sources=("a", "half")), "images of different sizes"),
        (lambda: Node(name="b", op="sum", width=2, sources=("a", "half")), "images of different sizes"),
        (lambda: Node(name="b", op="linear", width=2, sources=("a",)), "reads an image: flatten it first"),
        (lambda: Node(name="b", op="flatten", width=8, sources=("half",), repeat=4), "flattens 6 pixels"),
    ],
)
def test_a_graph_of_images_that_makes_no_sense_is_refused(node, words):
    with pytest.raises(ValidationError, match=words):
        Graph(nodes=(*IMAGE, node()), input_shape=(1, 5, 4), output_shape=(1, 5, 4))


def test_convolutions_need_an_image_and_grouped_biases():
    nodes = (Node(name="input", op="input", width=1), Node(name="a", **CONV))
    with pytest.raises(ValidationError, match="which is no image"):
        Graph(nodes=nodes, input_shape=(1,), output_shape=(2,))
    with pytest.raises(ValidationError, match="convolutions need bias grouped"):
        Graph(nodes=nodes, input_shape=(1, 4, 4), output_shape=(2, 4, 4), bias="free")
