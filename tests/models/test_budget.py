"""A superstructure under a budget: the size is never exceeded, and met at the end."""

import pytest
import torch

from linbreg import AdaBreg, LinBreg
from models.budget import Budget, start_density
from models.groups import active_counts, parameter_groups, sparse_start_
from models.network import Network
from models.shrink import shrink
from models.stepper import Stepper
from spec import Target, parameters
from spec.mlp import Mlp

STEPS = 120


@pytest.fixture(params=["grouped", "free"])
def graph(request):
    return Mlp(kind="mlp", widths=(40, 30, 40), bias=request.param).graph((20,), (6,))


def searched(graph, target, optimizer, seed=0):
    """A search on a made-up regression, its budget, and the sizes at the steps that the budget looked at."""
    generator = torch.Generator().manual_seed(seed)
    network = Network(graph)
    sparse_start_(network, density=start_density(graph, target, 1.0), scale=2.0, generator=generator)
    stepper = optimizer(parameter_groups(network, 0.02))
    budget = Budget(Stepper(network, stepper), target, STEPS)
    x = torch.randn(256, 20, generator=generator)
    y = torch.tanh(x @ torch.randn(20, 6, generator=generator))
    sizes = []
    for step in range(1, STEPS + 1):
        stepper.zero_grad()
        (network(x) - y).square().mean().backward()
        stepper.step()
        budget.after(step, ends_epoch=step % 30 == 0)
        if step % 10 == 0:
            sizes.append(target.size(graph, active_counts(network)))
            assert sizes[-1] <= budget.allowed(step)
    return network, budget, sizes


@pytest.mark.parametrize("optimizer", [lambda g: AdaBreg(g, lr=5e-3), lambda g: LinBreg(g, lr=0.5, momentum=0.9)])
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.8])
def test_the_budget_is_never_exceeded_and_met_at_the_end(graph, optimizer, fraction):
    target = Target(fraction=fraction)
    network, budget, sizes = searched(graph, target, optimizer)
    assert sizes[0] < sizes[-1], "the network grows"
    small = shrink(network)
    assert parameters(small.graph) == sizes[-1] <= budget.limit
    # Within one cheapest group of what was asked.
    counts = active_counts(network)
    more = [target.size(graph, {**counts, layer: count + 1}) for layer, count in counts.items()]
    assert min(more) > budget.limit
    x = torch.randn(64, 20)
    assert torch.allclose(small(x), network(x), atol=1e-5)


def test_a_search_that_diverged_is_left_for_its_loss_to_say_so(graph):
    network, budget, _ = searched(graph, Target(fraction=0.3), lambda groups: LinBreg(groups, lr=0.5))
    for group in budget.optimizer.param_groups:
        for param in group["params"]:
            budget.optimizer.state[param]["dual"] *= 1e30  # its squares overflow
    before = [group["regularizer"].lam for group in budget.optimizer.param_groups[:1]]
    budget.keep(STEPS)
    assert [group["regularizer"].lam for group in budget.optimizer.param_groups[:1]] == before
    budget.optimizer.apply_prox()
    assert not network(torch.randn(4, 20)).isfinite().all()


@pytest.mark.parametrize("given", [{"macs": 1500}, {"neurons": 37}, {"parameters": 300}])
def test_every_measure_can_be_asked_for(graph, given):
    target = Target(**given)
    network, budget, _ = searched(graph, target, lambda g: AdaBreg(g, lr=5e-3))
    size = target.size(graph, active_counts(network))
    assert budget.limit == next(iter(given.values()))
    assert 0.9 * budget.limit < size <= budget.limit


def test_the_same_seed_gives_the_same_architecture(graph):
    def counts():
        return active_counts(searched(graph, Target(fraction=0.3), lambda g: AdaBreg(g, lr=5e-3), seed=4)[0])

    assert counts() == counts()
