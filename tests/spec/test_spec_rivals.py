"""Rivals of equal size: never above what is allowed, as near as whole neurons get, and of the shape that they claim."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec import macs, parameters
from spec.mlp import Mlp
from spec.rivals import LARGEST_WIDTH, rivals

NAMES = ("flat", "scaled", "geometric", "random")
MNIST = (1, 28, 28)


def mlp(*widths: int, **form: object) -> Mlp:
    return Mlp.model_validate({"kind": "mlp", "widths": widths, **form})


def by_hand(inputs: int, widths: tuple[int, ...], outputs: int, bias: int) -> int:
    """Parameters (bias 1) or MACs (bias 0), from the matrices."""
    return sum((a + bias) * b for a, b in itertools.pairwise([inputs, *widths, outputs]))


def widths(name: str, structure: Mlp, inputs, outputs, limit: int, seed: int = 1) -> dict[str, tuple[int, ...]]:
    return {
        rival.name: rival.superstructure.widths
        for rival in rivals(name, structure, inputs, outputs, parameters, limit, seed=seed)
    }


@settings(deadline=None)
@given(
    name=st.sampled_from(NAMES),
    structure=st.lists(st.integers(1, 300), min_size=1, max_size=6),
    inputs=st.integers(1, 900),
    outputs=st.one_of(st.none(), st.integers(1, 900)),
    size=st.sampled_from([(parameters, 1), (macs, 0)]),
    limit=st.integers(1, 2_000_000),
    seed=st.integers(0, 2**31 - 1),
)
def test_no_rival_is_above_the_limit_and_none_could_take_another_neuron(
    name, structure, inputs, outputs, size, limit, seed
):
    outputs = inputs if outputs is None else outputs
    measure, bias = size
    found = rivals(name, mlp(*structure), (inputs,), (outputs,), measure, limit, seed=seed, count=3)
    assert found == rivals(name, mlp(*structure), (inputs,), (outputs,), measure, limit, seed=seed, count=3)
    depths = range(1, len(structure) + 1)
    fitting = [d for d in depths if by_hand(inputs, (1,) * d, outputs, bias) <= limit]
    match name:
        case "flat":
            assert [len(rival.superstructure.widths) for rival in found] == fitting
        case "random":
            assert bool(found) == bool(fitting) or len(structure) > 1
            assert len(found) <= 3
        case _:
            assert len(found) == (depths[-1] in fitting)
    assert len({rival.superstructure.widths for rival in found}) == len(found)
    for rival in found:
        layers = rival.superstructure.widths
        reached = by_hand(inputs, layers, outputs, bias)
        assert reached <= limit
        if reached < 0.98 * limit:
            for i, width in enumerate(layers):
                wider = (*layers[:i], width + 1, *layers[i + 1 :])
                assert by_hand(inputs, wider, outputs, bias) > limit or width == LARGEST_WIDTH


@settings(deadline=None)
@given(depth=st.integers(1, 8), limit=st.integers(200_000, 3_000_000), outputs=st.sampled_from([MNIST, (10,)]))
def test_flat_is_flat(depth, limit, outputs):
    for name, layers in widths("flat", mlp(*[784] * depth), MNIST, outputs, limit).items():
        assert name == f"flat-{len(layers)}"
        assert max(layers) - min(layers) <= 1


@settings(deadline=None)
@given(
    structure=st.lists(st.integers(20, 1000), min_size=2, max_size=6),
    name=st.sampled_from(["scaled", "geometric"]),
    share=st.floats(0.05, 3),
)
def test_widths_keep_the_proportions_of_their_shape(structure, name, share):
    full = by_hand(784, tuple(structure), 10, 1)
    found = widths(name, mlp(*structure), MNIST, (10,), max(100_000, int(share * full)))
    (layers,) = found.values()
    steps = len(structure) + 1
    line = [784 * (10 / 784) ** (i / steps) for i in range(1, steps)]
    shape = structure if name == "scaled" else line
    factor = sum(layers) / sum(shape)
    # Rounding takes less than one neuron of a layer, filling adds one, and the mean factor is as uncertain.
    for width, part in zip(layers, shape, strict=True):
        assert abs(width - max(1, factor * part)) <= 1.5 + part * len(layers) / sum(shape)


def test_the_superstructure_scaled_to_its_own_size_is_itself():
    for structure in (mlp(784, 784, 784), mlp(300, 100, 30), mlp(7)):
        own = parameters(structure.graph(MNIST, (10,)))
        assert widths("scaled", structure, MNIST, (10,), own) == {"scaled": structure.widths}


def test_geometric_autoencoders_are_hour_glasses_with_a_waist_of_a_quarter():
    (layers,) = widths("geometric", mlp(*[784] * 5), MNIST, MNIST, 200_000).values()
    assert layers[0] == pytest.approx(layers[4], abs=1)
    assert layers[1] == pytest.approx(layers[0] / 2, abs=1)
    assert layers[2] == pytest.approx(layers[0] / 4, abs=1)
    assert parameters(mlp(*layers).graph(MNIST, MNIST)) >= 0.99 * 200_000


def test_random_shapes_differ_in_depth_and_width_and_follow_from_the_seed():
    found = widths("random", mlp(*[784] * 5), MNIST, MNIST, 200_000)
    assert list(found) == [f"random-{i}" for i in range(1, 9)]
    assert len({len(layers) for layers in found.values()}) >= 3
    # (1, w, 1, w, 1) is no rival: no layer is more than 16 times as wide as another, up to rounding.
    assert all(min(layers) > max(layers) / 16 - 2 for layers in found.values())
    assert found == widths("random", mlp(*[784] * 5), MNIST, MNIST, 200_000)
    assert found != widths("random", mlp(*[784] * 5), MNIST, MNIST, 200_000, seed=2)


def test_one_hidden_layer_has_one_random_shape():
    assert len(widths("random", mlp(50), MNIST, MNIST, 20_000)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_fits_there_is_no_rival(name):
    least = by_hand(784, (1,), 784, 1)
    assert widths(name, mlp(784), MNIST, MNIST, least - 1) == {}
    assert list(widths(name, mlp(784), MNIST, MNIST, least).values()) == [(1,)]


def test_depths_that_do_not_fit_are_left_out():
    enough_for_two = by_hand(784, (1, 1), 784, 1)
    assert list(widths("flat", mlp(9, 9, 9), MNIST, MNIST, enough_for_two)) == ["flat-1", "flat-2"]


def test_all_but_the_widths_is_the_superstructures():
    structure = mlp(20, 30, activation="relu", bias="free", output_activation="sigmoid", group_head=True)
    for name in NAMES:
        for rival in rivals(name, structure, MNIST, MNIST, parameters, 90_000, seed=0):
            same = {"widths": structure.widths, "group_head": True}
            assert rival.superstructure.model_copy(update=same) == structure
            assert not rival.superstructure.group_head


def test_widths_may_exceed_the_superstructures_and_end_at_the_largest_that_a_specification_takes():
    assert widths("scaled", mlp(2, 4), (1,), (1,), 10**6)["scaled"] == pytest.approx((705, 1411), abs=3)
    huge = widths("flat", mlp(2, 2), (1,), (1,), 10**12)
    assert huge == {"flat-1": (LARGEST_WIDTH,), "flat-2": (LARGEST_WIDTH,) * 2}
    Mlp.model_validate({"kind": "mlp", "widths": huge["flat-2"]})


def test_any_size_that_grows_with_the_widths_will_do():
    def neurons(graph) -> int:
        return sum(node.width for node in graph.searched())

    for name in NAMES:
        for rival in rivals(name, mlp(40, 20, 40), MNIST, (10,), neurons, 101, seed=5):
            assert sum(rival.superstructure.widths) == 101
