"""A shrunk network computes what the superstructure computed, and is physically smaller."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.groups import active_counts, active_masks, connections, in_use
from models.network import Network
from models.shrink import LayerDied, shrink
from spec import macs, parameters
from spec.mlp import Mlp

from .networks import Case, cases, sleep_, stream_graph, wake_


def inputs(case: Case, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(case.seed + 1)
    return torch.randn(5, *case.network.graph.input_shape, generator=generator, dtype=torch.float64).to(dtype)


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_a_shrunk_network_agrees_to_rounding_in_both_precisions(case):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        network = case.network.to(dtype)
        x = inputs(case, dtype)
        with torch.no_grad():
            before, after = network(x), shrink(network)(x)
        scale = max(1.0, float(before.abs().max()))
        assert float((before - after).abs().max()) / scale <= tolerance


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_what_sleeps_is_gone_and_the_formulas_count_what_is_left(case):
    small = shrink(case.network)
    assert {name: int(mask.sum()) for name, mask in case.masks.items()} == active_counts(case.network)
    counts = active_counts(case.network)
    counted = sum(parameter.numel() for parameter in small.parameters())
    used = in_use(case.network)
    assert counted == parameters(case.network.graph, used) == parameters(small.graph)
    assert macs(small.graph) == macs(case.network.graph, used) == multiplications(small)
    assert counted <= sum(parameter.numel() for parameter in case.network.parameters())
    for node in small.graph.searched():
        assert small.layer(node).weight.shape[0] == counts[node.name]


def multiplications(network: Network) -> int:
    """MACs as they happen: counted by a hook on every linear layer, one sample through; a skip multiplies a layer."""
    counted = sum(network.graph[end].width for _, end, _ in connections(network))

    def count(module, given, output):
        nonlocal counted
        counted += module.weight.shape[0] * given[0].shape[1] * given[0].shape[0]

    hooks = [layer.register_forward_hook(count) for layer in network.layers.values()]
    network(torch.zeros(1, *network.graph.input_shape, dtype=torch.float64))
    for hook in hooks:
        hook.remove()
    return counted


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_shrinking_again_changes_nothing(case):
    once = shrink(case.network)
    twice = shrink(once)
    for name, tensor in once.state_dict().items():
        assert torch.equal(tensor, twice.state_dict()[name])


@settings(max_examples=30, deadline=None)
@given(widths=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_the_constants_of_sleeping_neurons_are_folded_not_dropped(widths, seed):
    """The oracle: evaluate the free-bias form layer by layer in float64, sleeping neurons included."""
    torch.manual_seed(seed)
    graph = Mlp(kind="mlp", widths=[*widths, 4], activation="relu", bias="free").graph((3,), (3,))
    network = Network(graph).double()
    masks = {node.name: torch.rand(node.width) < 0.5 for node in graph.searched()}
    for mask in masks.values():
        mask[0] = True
    sleep_(network, masks)
    x = torch.randn(4, 3, dtype=torch.float64)
    value = x
    layers = list(graph.layers())
    for node in layers:
        linear = network.layer(node)
        value = value @ linear.weight.T + linear.bias
        if node is not layers[-1]:
            value = value.clamp(min=0)
    with torch.no_grad():
        assert torch.allclose(shrink(network)(x), value, rtol=0, atol=1e-12)


def test_a_layer_without_an_active_neuron_has_died():
    graph = Mlp(kind="mlp", widths=[3, 2]).graph((4,), (4,))
    network = Network(graph)
    sleep_(network, {"hidden1": torch.tensor([True, True, False]), "hidden2": torch.tensor([False, False])})
    with pytest.raises(LayerDied, match="hidden2") as died:
        shrink(network)
    assert died.value.layer == "hidden2"


def test_a_neuron_lives_by_its_bias_alone_where_the_bias_is_in_its_group():
    network = Network(Mlp(kind="mlp", widths=[2]).graph((2,), (2,)))
    with torch.no_grad():
        network.layers["hidden1"].weight.zero_()
        network.layers["hidden1"].bias.copy_(torch.tensor([0.0, 0.3]))
    assert active_masks(network)["hidden1"].tolist() == [False, True]


def test_skips_at_zero_are_gone_and_so_is_a_sum_without_any():
    """The oracle: the recursion x_l = σ(W_l x_{l-1} + b_l) + Σ_j s_lj x_j, written out."""
    torch.manual_seed(0)
    network = Network(stream_graph(5, "grouped")).double()
    for scalars in network.scalars.values():
        torch.nn.init.normal_(scalars)
    wake_(network, torch.tensor([False, True, False, False, False, True]))  # 2←1, 3←1, 3←2, 4←1, 4←2, 4←3
    small = shrink(network)
    assert [node.name for node in small.graph.sums()] == ["stream3", "stream4"]
    assert small.graph["hidden3"].sources == ("hidden2",)
    assert small.graph["stream3"].sources == ("hidden3", "hidden1")
    assert small.graph["stream4"].sources == ("hidden4", "stream3")
    third, fourth = (float(network.scalars[name][k].detach()) for name, k in (("stream3", 0), ("stream4", 2)))
    assert connections(small) == [("hidden1", "hidden3", third), ("hidden3", "hidden4", fourth)]
    x = torch.randn(7, 1, 2, 3, dtype=torch.float64)
    layers = {name: (layer.weight, layer.bias) for name, layer in network.layers.items()}

    def layer(name, value):
        weight, bias = layers[name]
        z = value @ weight.T + bias
        return z * torch.sigmoid(z)

    x1 = layer("hidden1", x.flatten(1))
    x2 = layer("hidden2", x1)
    x3 = layer("hidden3", x2) + third * x1
    x4 = layer("hidden4", x3) + fourth * x3
    weight, bias = layers["head"]
    with torch.no_grad():
        for one in (network, small):
            torch.testing.assert_close(one(x), x4 @ weight.T + bias, rtol=0, atol=1e-12)


def test_a_neuron_of_a_stream_lives_where_any_of_its_layers_does():
    network = Network(stream_graph(3, "grouped", 2))
    with torch.no_grad():
        for name in ("hidden1", "hidden2"):
            network.layers[name].weight.zero_()
            network.layers[name].bias.zero_()
        network.layers["hidden2"].bias[1] = 0.5
        network.layers["hidden1"].weight[2, 0] = 0.5
    assert active_counts(network) == {"hidden1": 2, "hidden2": 2}
    assert active_masks(network)["hidden1"].tolist() == [False, True, True]
