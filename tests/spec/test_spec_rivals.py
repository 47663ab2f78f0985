"""Rivals of equal size: never above what is allowed, as near as whole neurons get, and of the shape that they claim."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec import macs, neurons, parameters
from spec.convnet import Convnet
from spec.mlp import Mlp
from spec.rivals import LARGEST_WIDTH, RATIOS, rivals
from spec.unet import Unet

NAMES = ("flat", "scaled", "geometric", "random")
MNIST = (1, 28, 28)


def mlp(*widths: int, **form: object) -> Mlp:
    return Mlp.model_validate({"kind": "mlp", "widths": widths, **form})


def by_hand(inputs: int, widths: tuple[int, ...], outputs: int, bias: int) -> int:
    """Parameters (bias 1) or MACs (bias 0), from the matrices."""
    return sum((a + bias) * b for a, b in itertools.pairwise([inputs, *widths, outputs]))


def widths(name: str, structure: Mlp, inputs, outputs, limit: int, seed: int = 1) -> dict[str, tuple[int, ...]]:
    return {
        rival.name: rival.widths for rival in rivals(name, structure, inputs, outputs, parameters, limit, seed=seed)
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
            assert [len(rival.widths) for rival in found] == fitting
        case "random":
            assert bool(found) == bool(fitting) or len(structure) > 1
            assert len(found) <= 3
        case _:
            assert len(found) == (depths[-1] in fitting)
    assert len({rival.widths for rival in found}) == len(found)
    for rival in found:
        layers = rival.widths
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
            same = structure.model_copy(update={"widths": rival.widths, "group_head": False})
            assert rival.graph == same.graph(MNIST, MNIST)


def test_widths_may_exceed_the_superstructures_and_end_at_the_largest_that_a_specification_takes():
    assert widths("scaled", mlp(2, 4), (1,), (1,), 10**6)["scaled"] == pytest.approx((705, 1411), abs=3)
    huge = widths("flat", mlp(2, 2), (1,), (1,), 10**12)
    assert huge == {"flat-1": (LARGEST_WIDTH,), "flat-2": (LARGEST_WIDTH,) * 2}
    Mlp.model_validate({"kind": "mlp", "widths": huge["flat-2"]})


def test_any_size_that_grows_with_the_widths_will_do():
    for name in NAMES:
        for rival in rivals(name, mlp(40, 20, 40), MNIST, (10,), neurons, 101, seed=5):
            assert sum(rival.widths) == 101


UNETS = st.builds(
    lambda levels, base, growth, convolutions, up: Unet(
        kind="unet", levels=levels, base=base, growth=growth, convolutions=convolutions, up=up
    ),
    levels=st.integers(1, 4), base=st.integers(1, 40), growth=st.sampled_from([0.5, 1.0, 2.0]),
    convolutions=st.integers(1, 3), up=st.sampled_from(["bilinear", "transposed"]),
)  # fmt: skip
CONVNETS = st.builds(
    lambda channels, hidden: Convnet(kind="convnet", channels=channels, hidden=hidden),
    channels=st.lists(st.integers(1, 30), min_size=1, max_size=3).map(tuple),
    hidden=st.lists(st.integers(1, 30), max_size=2).map(tuple),
)


@settings(deadline=None, max_examples=60)
@given(
    structure=st.one_of(UNETS, CONVNETS),
    name=st.sampled_from(["flat", "scaled", "ratio", "random"]),
    size=st.sampled_from([parameters, macs]),
    share=st.floats(0.01, 1.5),
)
def test_rivals_of_convolutions_keep_the_limit_and_none_could_take_another_channel(structure, name, size, share):
    shape, out = (1, 24, 20), (2, 24, 20) if structure.kind == "unet" else (10,)
    full = structure.graph(shape, out)
    limit = int(share * size(full))
    for rival in rivals(name, structure, shape, out, size, limit, seed=3, count=3):
        reached = size(rival.graph)
        assert reached <= limit
        assert [(n.name, n.op, n.sources) for n in rival.graph.nodes] == [(n.name, n.op, n.sources) for n in full.nodes]
        if reached < 0.98 * limit:
            widths = {node.name: node.width for node in rival.graph.searched()}
            for layer, width in widths.items():
                assert size(rival.graph, {**widths, layer: width + 1}) > limit or width == LARGEST_WIDTH


def test_a_ratio_is_that_from_level_to_level():
    unet = Unet(kind="unet", levels=4, base=16)
    found = rivals("ratio", unet, (1, 64, 64), (1, 64, 64), parameters, 300_000, seed=0)
    assert [rival.name for rival in found] == [f"ratio-{ratio:g}" for ratio in RATIOS]
    for rival, ratio in zip(found, RATIOS, strict=True):
        widths = {node.name: node.width for node in rival.graph.searched()}
        for level in (1, 2, 3):
            # Down to a channel by rounding and one more by filling.
            assert widths[f"down{level + 1}_1"] == pytest.approx(ratio * widths[f"down{level}_1"], abs=1 + 2 * ratio)
    (flat,) = rivals("flat", unet, (1, 64, 64), (1, 64, 64), parameters, 300_000, seed=0)
    assert flat.name == "flat"
    assert max(flat.widths) - min(flat.widths) <= 1


def test_on_one_level_every_ratio_is_flat():
    unet = Unet(kind="unet", levels=1, base=16)
    shapes = {rival.widths for rival in rivals("ratio", unet, (1, 8, 8), (1, 8, 8), parameters, 5_000, seed=0)}
    assert shapes == {rival.widths for rival in rivals("flat", unet, (1, 8, 8), (1, 8, 8), parameters, 5_000, seed=0)}
