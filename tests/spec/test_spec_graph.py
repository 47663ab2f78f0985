"""The graph of groups: sizes by closed form against counting by hand, and graphs that make no sense."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spec import Graph, Node, kept_counts, kept_indices, macs, parameters
from spec.mlp import Mlp


@given(
    widths=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    data=st.data(),
)
def test_parameters_and_macs_of_an_mlp_are_those_of_its_matrices(widths, inputs, outputs, data):
    graph = Mlp(kind="mlp", widths=widths).graph((inputs,), (outputs,))
    active = {f"hidden{i}": data.draw(st.integers(1, w)) for i, w in enumerate(widths, 1)}
    for counts, sizes in ((None, widths), (active, list(active.values()))):
        chain = [inputs, *sizes, outputs]
        pairs = list(itertools.pairwise(chain))
        assert macs(graph, counts) == sum(a * b for a, b in pairs)
        assert parameters(graph, counts) == sum(a * b + b for a, b in pairs)


def test_the_published_autoencoder_has_six_layers_of_784():
    graph = Mlp(kind="mlp", widths=[784] * 5, group_head=True).graph((1, 28, 28), (1, 28, 28))
    assert [node.width for node in graph.layers()] == [784] * 6
    assert len(list(graph.searched())) == 6
    assert parameters(graph) == 6 * 784 * 785


def test_entries_follow_their_groups_through_flattening_and_concatenation():
    graph = Graph(
        nodes=(
            Node(name="input", op="input", width=2),
            Node(name="pixels", op="flatten", width=6, sources=("input",), repeat=3),
            Node(name="a", op="linear", width=4, sources=("pixels",), searched=True),
            Node(name="b", op="linear", width=3, sources=("a",), searched=True),
            Node(name="both", op="concat", width=7, sources=("a", "b")),
            Node(name="wide", op="flatten", width=14, sources=("both",), repeat=2),
            Node(name="head", op="linear", width=2, sources=("wide",)),
        ),
        input_shape=(2, 1, 3),
        output_shape=(2,),
    )
    kept = kept_indices(graph, {"a": [1, 3], "b": [0]})
    assert kept["pixels"] == [0, 1, 2, 3, 4, 5]
    assert kept["both"] == [1, 3, 4]
    assert kept["wide"] == [2, 3, 6, 7, 8, 9]
    counts = kept_counts(graph, {"a": 2, "b": 1})
    assert counts == {name: len(entries) for name, entries in kept.items()}
    assert parameters(graph, {"a": 2, "b": 1}) == 2 * 7 + 1 * 3 + 2 * 7


def test_sums_tie_their_operands_to_one_index_set_whichever_way_they_are_chained():
    layer = {"op": "linear", "width": 3, "sources": ("input",), "searched": True}
    graph = Graph(
        nodes=(
            Node(name="input", op="input", width=3),
            *(Node(name=name, **layer) for name in "abcdef"),
            Node(name="ca", op="sum", width=3, sources=("c", "a")),
            Node(name="bd", op="sum", width=3, sources=("b", "d"), scalars=1),
            Node(name="all", op="sum", width=3, sources=("e", "bd", "ca"), scalars=1),
        ),
        input_shape=(3,),
        output_shape=(3,),
    )
    assert graph.index_sets() == [("a", "b", "c", "d", "e"), ("f",)]
    assert graph["all"].plain == ("e", "bd")
    assert graph["all"].scaled == ("ca",)
    kept = kept_indices(graph, {name: [0, 2] for name in "abcde"})
    assert kept["all"] == kept["bd"] == [0, 2]
    assert kept_counts(graph, dict.fromkeys("abcde", 2))["all"] == 2


def test_skips_make_every_pair_of_hidden_layers_a_connection():
    graph = Mlp(kind="mlp", widths=[4] * 3, skips="searched").graph((5,), (2,))
    assert [node.name for node in graph.nodes] == ["input", *STREAM, "head"]
    assert graph["hidden3"].sources == ("stream2",)
    assert graph["stream3"].plain == ("hidden3",)
    assert graph["stream3"].scaled == ("hidden1", "stream2")
    assert graph["head"].sources == ("stream3",)
    assert graph.index_sets() == [("hidden1", "hidden2", "hidden3")]


STREAM = ["hidden1", "hidden2", "stream2", "hidden3", "stream3"]
BEFORE = [
    Node(name="input", op="input", width=2),
    Node(name="a", op="linear", width=3, sources=("input",), searched=True),
    Node(name="b", op="linear", width=2, sources=("input",), searched=True),
    Node(name="fixed", op="linear", width=3, sources=("input",)),
]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([], "begins with its input"),
        ([Node(name="a", op="linear", width=1, sources=("input",))], "does not stand before"),
        ([Node(name="input", op="input", width=2), Node(name="input", op="input", width=2)], "stands twice"),
        (
            [
                Node(name="input", op="input", width=2),
                Node(name="p", op="flatten", width=5, sources=("input",), repeat=2),
            ],
            "has width 5, its sources give 4",
        ),
        ([*BEFORE, Node(name="s", op="sum", width=3, sources=("a", "b"))], "has width 3, 'b' has 2"),
        (
            [
                *BEFORE,
                Node(name="c", op="concat", width=3, sources=("a",)),
                Node(name="s", op="sum", width=3, sources=("a", "c")),
            ],
            "entries are joined from others",
        ),
        ([*BEFORE, Node(name="s", op="sum", width=3, sources=("a", "fixed"))], "may sleep to others that may not"),
        ([*BEFORE, Node(name="s", op="sum", width=3, sources=("a",), scalars=1)], "without a source that enters"),
    ],
)
def test_a_graph_that_makes_no_sense_is_refused(nodes, words):
    with pytest.raises(ValidationError, match=words):
        Graph(nodes=tuple(nodes), input_shape=(2,), output_shape=(1,))
