"""A run that is stored and resumed is the run that was never disturbed, bit for bit."""

import copy
import json

import pytest
import torch
from safetensors.torch import load, save

from linbreg import (
    L1,
    AdaBreg,
    GroupL1,
    LambdaSchedule,
    LassoAdam,
    LassoSGD,
    LinBreg,
    ProxAdam,
    ProxSGD,
    pack_state,
    unpack_state,
)

OPTIMIZERS = {
    "linbreg": lambda p: LinBreg(p, lr=0.2, delta=1.5),
    "momentum": lambda p: LinBreg(p, lr=0.2, momentum=0.9, weight_decay=0.01),
    "adabreg": lambda p: AdaBreg(p, lr=0.02, weight_decay=0.01),
    "prox-sgd": lambda p: ProxSGD(p, lr=0.2, momentum=0.5),
    "prox-adam": lambda p: ProxAdam(p, lr=0.02),
    "lasso-sgd": lambda p: LassoSGD(p, lr=0.2, momentum=0.5, weight_decay=0.01),
    "lasso-adam": lambda p: LassoAdam(p, lr=0.02),
}


def build(dtype, make):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3))
    net = net.to(dtype=dtype, memory_format=torch.channels_last)
    regularizer = GroupL1(0.05, joint=True)
    groups = [
        {"params": list(net[0].parameters()), "regularizer": regularizer},
        {"params": [net[3].weight], "regularizer": L1(0.01)},
        {"params": [net[3].bias]},
    ]
    return net, regularizer, make(groups)


def train(net, regularizer, optimizer, steps):
    for t in steps:
        if t == 3:
            regularizer.lam = 0.02  # a controller moved it: it must be remembered
        generator = torch.Generator().manual_seed(t)
        x = torch.randn(8, 1, 6, 6, generator=generator).to(net[3].weight.dtype)
        optimizer.zero_grad()
        (net(x) - x.mean(dim=(1, 2, 3))[:, None]).square().mean().backward()
        optimizer.step()


def through_memory(state):
    return copy.deepcopy(state)


def through_files(state):
    tensors, values = pack_state(state)
    return unpack_state(load(save(tensors)), json.loads(json.dumps(values)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", [through_memory, through_files])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resuming_changes_no_bit(name, way, dtype):
    # given a run of eight steps, and one that is stored after five
    undisturbed = build(dtype, OPTIMIZERS[name])
    train(*undisturbed, range(8))
    stopped = build(dtype, OPTIMIZERS[name])
    train(*stopped, range(5))
    weights, state = copy.deepcopy(stopped[0].state_dict()), way(stopped[2].state_dict())

    # when another process goes on with it, and the first one too
    resumed = build(dtype, OPTIMIZERS[name])
    resumed[0].load_state_dict(weights)
    resumed[2].load_state_dict(state)
    assert resumed[2].param_groups[0]["regularizer"] is resumed[1]
    train(*stopped, range(5, 8))
    train(*resumed, range(5, 8))

    # then nobody can tell
    assert resumed[1].lam == 0.02
    for run in (stopped, resumed):
        for ours, theirs in zip(run[0].parameters(), undisturbed[0].parameters(), strict=True):
            assert torch.equal(ours, theirs)
            for key, value in undisturbed[2].state[theirs].items():
                assert torch.equal(run[2].state[ours][key], value), key
                assert run[2].state[ours][key].stride() == value.stride()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_is_tensors_and_plain_values(name):
    net, regularizer, optimizer = build(torch.float32, OPTIMIZERS[name])
    train(net, regularizer, optimizer, range(1))
    state = optimizer.state_dict()
    assert state["param_groups"][0]["regularizer"] == {"kind": "GroupL1", "lam": 0.05, "joint": True, "dim": 0}
    assert state["param_groups"][2]["regularizer"] is None
    json.dumps(state["param_groups"])
    assert all(isinstance(v, torch.Tensor) for entry in state["state"].values() for v in entry.values())
    # the optimiser itself still holds the object
    assert optimizer.param_groups[0]["regularizer"] is regularizer


@pytest.mark.parametrize("name", ["prox-sgd", "prox-adam", "adabreg"])
def test_a_scheduled_lam_goes_on_where_it_was(name):
    # given a run whose λ is scheduled, undisturbed, and one that is stored after three steps
    def scheduled():
        net, _, optimizer = build(torch.float64, OPTIMIZERS[name])
        return net, optimizer, LambdaSchedule(optimizer, start=0.3, end=0.001, steps=6, shape="geometric")

    def go_on(net, optimizer, schedule, steps):
        for t in steps:
            generator = torch.Generator().manual_seed(t)
            x = torch.randn(8, 1, 6, 6, generator=generator, dtype=torch.float64)
            optimizer.zero_grad()
            (net(x) - x.mean(dim=(1, 2, 3))[:, None]).square().mean().backward()
            optimizer.step()
            schedule.step()

    undisturbed, stopped, resumed = scheduled(), scheduled(), scheduled()
    go_on(*undisturbed, range(8))
    go_on(*stopped, range(3))

    # when another goes on with it, then nobody can tell
    resumed[0].load_state_dict(copy.deepcopy(stopped[0].state_dict()))
    resumed[1].load_state_dict(through_files(stopped[1].state_dict()))
    resumed[2].load_state_dict(json.loads(json.dumps(stopped[2].state_dict())))
    assert resumed[1].param_groups[0]["regularizer"].lam == stopped[1].param_groups[0]["regularizer"].lam < 0.3
    go_on(*resumed, range(3, 8))
    assert all(torch.equal(a, b) for a, b in zip(resumed[0].parameters(), undisturbed[0].parameters(), strict=True))
    assert resumed[1].param_groups[0]["regularizer"].lam == 0.001


def test_a_loaded_state_shares_no_memory_with_its_giver():
    first, second = (build(torch.float32, OPTIMIZERS["adabreg"]) for _ in range(2))
    second[2].load_state_dict(first[2].state_dict())
    before = copy.deepcopy(second[2].state_dict()["state"])
    train(*first, range(2))
    for index, state in second[2].state_dict()["state"].items():
        assert all(torch.equal(value, before[index][key]) for key, value in state.items())


def test_a_copied_optimiser_works():
    net, regularizer, optimizer = build(torch.float32, OPTIMIZERS["adabreg"])
    twin_net, twin_optimizer = copy.deepcopy((net, optimizer))
    twin_regularizer = twin_optimizer.param_groups[0]["regularizer"]
    train(net, regularizer, optimizer, range(4))
    train(twin_net, twin_regularizer, twin_optimizer, range(4))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin_net.parameters(), strict=True))


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    weight = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = AdaBreg([{"params": [weight], "regularizer": GroupL1(0.1)}])
    strangers = {
        "regularizer": AdaBreg([{"params": [torch.nn.Parameter(torch.ones(3, 2))], "regularizer": L1(0.2)}]),
        "lacks": LinBreg([{"params": [torch.nn.Parameter(torch.ones(3, 2))], "regularizer": GroupL1(0.2)}], lr=1.0),
        "has shape": AdaBreg([{"params": [torch.nn.Parameter(torch.ones(4, 2))], "regularizer": GroupL1(0.2)}]),
        "number of parameter groups": AdaBreg(
            [
                {"params": [torch.nn.Parameter(torch.ones(3, 2))], "regularizer": GroupL1(0.2)},
                {"params": [torch.nn.Parameter(torch.ones(2))]},
            ]
        ),
    }
    for words, stranger in strangers.items():
        with pytest.raises(ValueError, match=words):
            optimizer.load_state_dict(stranger.state_dict())
    assert optimizer.param_groups[0]["regularizer"].lam == 0.1
    assert optimizer.param_groups[0]["lr"] == 1e-3
