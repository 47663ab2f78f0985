"""Closed layers merge, gates fold, neurons are added: the function stays, the network becomes plain."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.depth import (
    Gated,
    hidden,
    linear,
    linear_from_,
    linear_start_,
    merge,
    mlp,
    plain,
    start_from_linear,
    widest,
)
from models.network import Affine, Network
from spec import parameters
from spec.mlp import Mlp

SUPERSTRUCTURE = Mlp(kind="mlp", widths=(9, 9, 9, 9), output_activation="none")
SHAPE, OUT = (2, 3, 2), (5,)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def build(widths, **changes):
    return mlp(SUPERSTRUCTURE.model_copy(update=changes), widths, SHAPE, OUT)


def random_network(seed, widths, gates, dtype=torch.float64):
    """Random weights; layer by layer the gates are 0, random signs, or somewhere between."""
    draw = generator(seed)
    mean, std = torch.randn(2, 1, 1, generator=draw), 0.5 + torch.rand(2, 1, 1, generator=draw)
    network = Gated(build(widths), Affine(mean, std)).to(dtype)
    for parameter in network.weights():
        parameter.data = torch.randn(parameter.shape, generator=draw, dtype=torch.float64).to(dtype)
    for node, kind in zip(hidden(network.graph), gates, strict=True):
        drawn = torch.rand(node.width, generator=draw) * 2 - 1
        value = {"closed": torch.zeros_like(drawn), "open": drawn.sign(), "between": drawn}[kind]
        network.gates[node.name].data = value.to(dtype)
    return network


def linear_network(rank):
    """Random, of two layers."""
    draw = generator(rank)
    network = Network(linear(build((rank,))), Affine(torch.randn(2, 1, 1, generator=draw), torch.full((2, 1, 1), 2.0)))
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw)
    return network.double()


def samples(seed, count=30, dtype=torch.float64):
    return torch.randn(count, *SHAPE, generator=generator(seed), dtype=torch.float64).to(dtype)


def close(one, other, x, tolerance):
    with torch.no_grad():
        expected = one(x)
        torch.testing.assert_close(other(x), expected, rtol=0, atol=tolerance * float(expected.abs().max()))


layers = st.lists(st.sampled_from(["closed", "open"]), min_size=1, max_size=5)


@settings(deadline=None, max_examples=25)
@given(gates=layers, seed=st.integers(0, 2**31), data=st.data())
def test_the_plain_network_of_merged_and_widened_layers_is_the_same_function(gates, seed, data):
    widths = data.draw(st.lists(st.integers(1, 9), min_size=len(gates), max_size=len(gates)))
    network = random_network(seed, widths, gates)
    opened = [node.name for node, kind in zip(hidden(network.graph), gates, strict=True) if kind == "open"]
    old = [width for width, kind in zip(widths, gates, strict=True) if kind == "open"]
    wider = [width + data.draw(st.integers(0, 4)) for width in old]
    merged = merge(network, opened, build(wider), generator(seed))
    close(network, merged, samples(seed), 1e-12)
    for node, width in zip(hidden(merged.graph), old, strict=True):
        assert not merged.gates[node.name][width:].any()
        merged.gates[node.name].data[width:] = 1.0  # asleep: their gates are free
    small = plain(merged)
    assert type(small) is Network
    assert small.graph == build(wider)
    close(network, small, samples(seed), 1e-12)


def test_in_float32_it_agrees_to_rounding():
    for seed in range(5):
        network = random_network(seed, (9, 7, 8), ("closed", "open", "closed"), torch.float32)
        for parameter in network.weights():
            parameter.data /= 3
        merged = merge(network, ["hidden2"], build((7,)), generator(0))
        close(network, plain(merged), samples(seed, dtype=torch.float32), 1e-5)


def test_a_merge_keeps_gates_that_are_still_on_their_way():
    network = random_network(1, (6, 6, 6), ("between", "closed", "between"))
    merged = merge(network, ["hidden1", "hidden3"], build((8, 6)), generator(0))
    assert torch.equal(merged.gates["hidden1"][:6], network.gates["hidden1"])
    assert torch.equal(merged.gates["hidden2"], network.gates["hidden3"])
    close(network, merged, samples(1), 1e-12)
    with pytest.raises(ValueError, match="gates of hidden1"):
        plain(merged)


def test_new_neurons_have_a_gradient():
    network = random_network(2, (5, 5), ("open", "open"))
    merged = merge(network, ["hidden1", "hidden2"], build((7, 8)), generator(0))
    merged(samples(2)).square().mean().backward()
    for node, old in zip(hidden(merged.graph), (5, 5), strict=True):
        gradient = merged.layer(node).weight.grad
        assert not merged.layer(node).weight[old:].any()
        assert (gradient[old:] != 0).any(dim=1).all()


def test_without_an_open_layer_it_is_a_linear_network_of_one_or_two_layers():
    network = random_network(3, (4, 6, 5), ("closed",) * 3)
    x = samples(3)
    single = plain(merge(network, [], build(()), generator(0)))
    assert [node.name for node in single.graph.layers()] == ["head"]
    close(network, single, x, 1e-12)
    double = plain(merge(network, [], linear(build((6,))), generator(0)))
    assert [node.activation for node in double.graph.layers()] == ["none", "none"]
    close(network, double, x, 1e-12)
    with torch.no_grad():  # it is affine
        a, b = x[:15], x[15:]
        torch.testing.assert_close(double((a + b) / 2), (double(a) + double(b)) / 2)


def test_a_linear_start_has_gates_of_0_and_signals_neither_fade_nor_explode():
    network = linear_start_(Gated(mlp(SUPERSTRUCTURE, (300,) * 12, (200,), (100,))), generator(0))
    assert not any(gate.any() for gate in network.gates.values())
    with torch.no_grad():
        out = network(torch.randn(500, 200, generator=generator(1)))
    assert float(out.var()) == pytest.approx(0.3, rel=0.4)


@pytest.mark.parametrize("widths", [(6, 6, 6), (7, 6, 8, 6), (6,), (9, 8, 7)])
def test_a_start_from_a_closed_form_computes_the_same_and_can_leave_it_in_every_entry(widths):
    best, x = linear_network(rank=4), samples(5, count=200)
    network = Gated(build(widths), best.inputs).double()
    linear_from_(network, best, x, generator(5))
    close(best, network, x, 1e-12)
    first = network.layer(hidden(network.graph)[0])
    with torch.no_grad():
        codes = first(network.inputs.standardize(x).flatten(1))
        assert float(codes.var(0, correction=0).mean()) == pytest.approx(1)
        torch.testing.assert_close(codes.mean(0), torch.zeros(widths[0], dtype=torch.float64))
    (network(x) - 1).square().mean().backward()
    assert all((p.grad != 0).any(dim=-1).all() for p in network.weights())


def test_a_plain_start_bends_half_of_its_neurons_up_and_half_down():
    best, x = linear_network(rank=4), samples(6, count=200)
    straight = linear_from_(Gated(build((30,)), best.inputs).double(), best, x, generator(6))
    bent = []
    for sign in (1.0, -1.0):
        straight.gates["hidden1"].data = sign * torch.where(torch.arange(30) % 3 == 0, 1.0, -1.0).double()
        bent.append(plain(straight))
    with torch.no_grad():  # ±g cancel in the mean
        torch.testing.assert_close((bent[0](x) + bent[1](x)) / 2, best(x))
        assert not torch.allclose(bent[0](x), best(x), atol=0.1)
    started = start_from_linear(build((30,)), best.float(), x.float(), generator(6))
    assert type(started) is Network
    rows, old = started.layers["hidden1"].weight.double(), straight.layers["hidden1"].weight
    signs = (rows * old).sum(dim=1).sign()
    torch.testing.assert_close(rows, old * signs[:, None], rtol=0, atol=1e-5)
    assert 5 < int((signs > 0).sum()) < 25


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(0, 5000))
def test_widest_fills_the_limit_to_within_a_neuron(widths, extra):
    def size(tried):
        return parameters(build(tried))

    limit = size(widths) + extra
    found = widest(widths, size, limit)
    assert size(found) <= limit
    assert all(new >= old for new, old in zip(found, widths, strict=True))
    for index in range(len(found)):
        assert size([width + (i == index) for i, width in enumerate(found)]) > limit
    with pytest.raises(ValueError, match="the limit is"):
        widest(widths, size, size(widths) - 1)


def test_gates_are_ordered_as_the_layers_are_beyond_nine():
    network = Gated(build(range(1, 13)))
    assert [len(gate) for gate in network.ordered_gates()] == list(range(1, 13))


def test_other_activations_are_no_superstructure_for_gates():
    for name in ("gelu", "relu"):
        with pytest.raises(ValueError, match="silu"):
            Gated(build((3,), activation=name))
