"""Single kernels as groups: what is in which group, how a search begins with a few, and what shrinking removes."""

import numpy as np
import pytest
import torch

from linbreg import L1, KernelGroupL1
from models.groups import active_counts, kernel_start_, parameter_groups, weight_shares
from models.network import Network
from models.shrink import shrink
from spec.convnet import Convnet

from .images import filled, image

NET = Convnet(kind="convnet", channels=(24, 32), kernel=3, hidden=(40,))
GRAPH = NET.graph((3, 8, 8), (10,))


def test_kernels_linear_weights_and_biases_are_three_groups_that_hold_every_parameter_once():
    network = Network(GRAPH)
    kernels, weights, free = parameter_groups(network, 0.5, groups="kernels")
    assert (type(kernels["regularizer"]), type(weights["regularizer"])) == (KernelGroupL1, L1)
    assert kernels["regularizer"].lam == weights["regularizer"].lam == 0.5
    assert [p.dim() for p in kernels["params"]] == [4, 4]
    assert [p.dim() for p in weights["params"]] == [2, 2], "the head's too"
    assert "regularizer" not in free
    assert {p.dim() for p in free["params"]} == {1}
    held = [id(p) for group in (kernels, weights, free) for p in group["params"]]
    assert sorted(held) == sorted(map(id, network.parameters()))


def test_a_start_has_its_share_of_whole_kernels_and_of_weights_at_the_asked_deviation():
    network = Network(GRAPH)
    kernel_start_(network, density=0.2, scale=10.0, bias_scale=5.0, generator=torch.Generator().manual_seed(4))
    shares = weight_shares(network)
    for node in GRAPH.layers():
        weight, bias = (network.rows(node)[key].detach().double().numpy() for key in ("weight", "bias"))
        flat = weight.reshape(*weight.shape[:2], -1)
        assert set(np.count_nonzero(flat, axis=2).ravel()) == {0, flat.shape[2]}, "a kernel is awake as a whole"
        fan_in = weight[0].size
        assert weight[weight != 0].std() == pytest.approx(10 * np.sqrt(2 / fan_in), rel=0.2)
        assert bias.min() >= 0
        assert 0.7 < bias.max() * np.sqrt(fan_in) / 5 <= 1
    convolutions = [network.rows(node)["weight"].detach() for node in GRAPH.layers() if node.op == "conv"]
    alive = sum(int(w[o, i].any()) for w in convolutions for o in range(w.shape[0]) for i in range(w.shape[1]))
    assert shares["kernels"] == alive / (24 * 3 + 32 * 24)
    assert shares == {"kernels": pytest.approx(0.2, abs=0.06), "linear weights": pytest.approx(0.2, abs=0.03)}


def test_a_filter_without_kernels_stays_for_its_bias_and_goes_without_one():
    network = filled(GRAPH, 5)
    rows = network.rows(GRAPH["conv1"])
    with torch.no_grad():
        rows["weight"][:4] = 0.0
        rows["bias"][:2] = 0.0
    assert active_counts(network)["conv1"] == 22
    small, x = shrink(network), image(network, (8, 8), torch.float64)
    assert small.graph["conv1"].width == 22
    assert float((small(x) - network(x)).detach().abs().max()) <= 1e-12
