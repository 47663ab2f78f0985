"""Skips by search: scalars that wake where the task needs them and stay 0 where it does not; sizes that stay exact."""

import pytest
import torch

from linbreg import L1
from models.budget import Budget, start_density
from models.groups import active_counts, active_masks, connections, in_use, parameter_groups, scalar_counts
from models.groups import sparse_start_ as start_
from models.network import Network
from models.shrink import shrink
from models.stepper import Stepper
from spec import Target, macs, parameters, possible
from spec.method import AdaBreg, LinBreg
from spec.mlp import Mlp
from worker.optimizers import optimizer

from .networks import stream_graph

STEPS = 400
METHODS = [AdaBreg(lr=5e-3, skip_lam=1.0), LinBreg(optimizer="linbreg", lr=0.2, skip_lam=1.0)]


@pytest.mark.parametrize("bias", ["grouped", "free"])
def test_a_neuron_begins_awake_or_asleep_in_all_layers_of_the_stream(bias):
    network = Network(stream_graph(40, bias))
    start_(network, density=0.3, scale=2.0, generator=torch.Generator().manual_seed(5))
    awake = [(layer.weight != 0).any(dim=1) for name, layer in network.layers.items() if name != "head"]
    assert 3 < int(awake[0].sum()) < 25
    assert all(torch.equal(rows, awake[0]) for rows in awake)
    assert set(active_counts(network).values()) == {int(awake[0].sum())}
    assert connections(network) == []


def test_the_layers_of_a_stream_are_one_group_a_neuron():
    network = Network(stream_graph(40, "grouped", 3))
    stream, free = parameter_groups(network, 0.1)
    assert [tuple(param.shape) for param in stream["params"]] == [(40, 6), (40,), (40, 40), (40,), (40, 40), (40,)]
    assert stream["regularizer"].joint
    assert len(free["params"]) == 4, "the head's two, and the scalars where nothing is said of them"
    _, scalars, free = parameter_groups(network, 0.1, {"regularizer": L1(2.0), "eps": 1.0})
    assert [len(param) for param in scalars["params"]] == [1, 2]
    assert (scalars["regularizer"].lam, scalars["eps"], len(free["params"])) == (2.0, 1.0, 2)


def searched(how, graph, x, y, target=None, seed=0, check=lambda network, budget, step: None):
    """A search on given data, full batches with a few left out at random."""
    generator = torch.Generator().manual_seed(seed)
    network = Network(graph)
    density = 0.5 if target is None else start_density(graph, target, 1.0)
    start_(network, density=density, scale=1.0, generator=generator)
    stepper = optimizer(network, how)
    budget = None if target is None else Budget(Stepper(network, stepper), target, STEPS)
    for step in range(1, STEPS + 1):
        batch = torch.randperm(len(x), generator=generator)[:128]
        stepper.zero_grad()
        (network(x[batch]) - y[batch]).square().mean().backward()
        stepper.step()
        if budget is not None:
            budget.after(step, ends_epoch=step % 40 == 0)
            check(network, budget, step)
    return network


def identity(seed):
    """Inputs that have to come out again, past four layers that begin as noise: a skip is worth much."""
    x = torch.randn(512, 6, generator=torch.Generator().manual_seed(seed)).reshape(-1, 1, 2, 3)
    return x, 3 * x.flatten(1)[:, :4]


def nothing_to_learn(seed):
    """Targets that are noise: no connection lowers the loss for long."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(512, 1, 2, 3, generator=generator), 0.1 * torch.randn(512, 4, generator=generator)


@pytest.mark.parametrize("how", METHODS, ids=lambda how: how.optimizer)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scalars_wake_where_a_skip_is_needed_and_sleep_where_none_is(how, seed):
    needed = searched(how, stream_graph(16, "grouped"), *identity(seed), seed=seed)
    assert connections(needed), "the identity needs a way past the layers"
    assert connections(searched(how, stream_graph(16, "grouped"), *nothing_to_learn(seed), seed=seed)) == []


@pytest.mark.parametrize("how", METHODS, ids=lambda how: how.optimizer)
@pytest.mark.parametrize("bias", ["grouped", "free"])
@pytest.mark.parametrize("given", [{"fraction": 0.3}, {"macs": 1000}, {"neurons": 50}])
def test_a_size_is_kept_with_skips_counted_and_the_neurons_of_the_stream_move_as_one(how, bias, given):
    graph, target = stream_graph(30, bias), Target(**given)

    def check(network, budget, step):
        masks = list(active_masks(network).values())
        assert all(torch.equal(mask, masks[0]) for mask in masks)
        if step % 10 == 0:
            assert target.size(graph, in_use(network)) <= budget.allowed(step)

    network = searched(how, graph, *identity(0), target, check=check)
    small = shrink(network)
    size, limit = target.size(small.graph), target.limit(graph)
    assert size == target.size(graph, in_use(network)) <= limit
    one_more = {layer: count + 1 for layer, count in active_counts(network).items()}
    assert target.size(graph, one_more | scalar_counts(network)) > limit, "a neuron of the stream more does not fit"
    assert parameters(small.graph) == sum(param.numel() for param in small.parameters())
    x = torch.randn(64, 1, 2, 3)
    torch.testing.assert_close(small(x), network(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("measure", ["parameters", "macs"])
def test_the_smallest_target_has_room_for_every_scalar(measure):
    graph = stream_graph(20, "grouped")
    least, _ = possible(graph)[measure]
    network = searched(AdaBreg(lr=5e-3, skip_lam=0.0), graph, *identity(0), Target(**{measure: least}))
    assert set(active_counts(network).values()) == {1}
    assert len(connections(network)) == 6, "with λ = 0 all are awake"
    assert Target(**{measure: least}).size(shrink(network).graph) == least


def test_sizes_of_a_superstructure_are_counted_by_hand():
    graph = Mlp(kind="mlp", widths=[5] * 3, skips="searched").graph((7,), (2,))
    assert parameters(graph) == 5 * 8 + 2 * 5 * 6 + 2 * 6 + 3
    assert macs(graph) == 5 * 7 + 2 * 25 + 2 * 5 + 3 * 5
    used = {"hidden1": 2, "hidden2": 2, "hidden3": 2, "stream2": 0, "stream3": 1}
    assert parameters(graph, used) == 2 * 8 + 2 * 2 * 3 + 2 * 3 + 1
    assert macs(graph, used) == 2 * 7 + 2 * 4 + 2 * 2 + 1 * 2
