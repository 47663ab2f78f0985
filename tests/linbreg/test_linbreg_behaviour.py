"""What the method is for: losses fall as the theory says, and sparse networks grow."""

import subprocess
import sys
from itertools import pairwise

import pytest
import torch

from linbreg import L1, AdaBreg, GroupL1, LinBreg, sparse_rows_


@pytest.mark.parametrize("delta", [0.5, 1.0, 4.0])
def test_the_loss_falls_in_every_step_below_two_over_delta_lip(delta):
    # given ½‖Ax − b‖², whose gradient has the Lipschitz constant ‖A‖²
    torch.manual_seed(0)
    a = torch.randn(15, 40, dtype=torch.float64)
    truth = torch.zeros(40, dtype=torch.float64)
    truth[[3, 17]] = torch.tensor([2.0, -1.0], dtype=torch.float64)
    b = a @ truth
    x = torch.nn.Parameter(torch.zeros(40, dtype=torch.float64))
    lip = float(torch.linalg.matrix_norm(a, 2)) ** 2
    optimizer = LinBreg([{"params": [x], "regularizer": L1(5.0)}], lr=1.9 / (delta * lip), delta=delta)

    # when LinBreg runs
    losses = []
    for _ in range(3000):
        optimizer.zero_grad()
        loss = (a @ x - b).square().sum() / 2
        loss.backward()
        losses.append(loss.item())
        optimizer.step()

    # then the loss never rises, and the sparse solution of an underdetermined system is found
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(losses))
    assert losses[-1] < 1e-3 * losses[0]
    assert (x.detach().abs() > 0.1).nonzero().flatten().tolist() == [3, 17]


@pytest.mark.parametrize(
    ("make", "lam", "most"),
    [
        (lambda p: LinBreg(p, lr=0.3, momentum=0.9), 0.02, 110),
        # without noise all signs are consistent, so that AdaBreg wakes a layer as a whole
        (lambda p: AdaBreg(p, lr=2e-3), 0.1, 120),
    ],
    ids=["LinBreg", "AdaBreg"],
)
def test_a_deep_network_that_starts_almost_empty_wakes_the_neurons_it_needs(make, lam, most):
    # given three hidden layers with a few live neurons in each
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    hidden = [torch.nn.Linear(i, o) for i, o in ((8, 40), (40, 40), (40, 40))]
    head = torch.nn.Linear(40, 2)
    for layer in hidden:
        sparse_rows_(layer.weight, layer.bias, density=0.05, scale=3.0, generator=generator)
    net = torch.nn.Sequential(*[part for layer in hidden for part in (layer, torch.nn.SiLU())], head)
    regularizer = GroupL1(lam, joint=True)
    groups = [{"params": list(layer.parameters()), "regularizer": regularizer} for layer in hidden]
    optimizer = make([*groups, {"params": head.parameters()}])

    def active():
        return [int(regularizer.active(list(layer.parameters()))[0].sum()) for layer in hidden]

    start = active()
    x = torch.randn(256, 8, generator=generator)
    y = torch.stack([x[:, 0] * x[:, 1], x[:, 2].sin()], dim=1)

    # when it learns
    losses = []
    for _ in range(400):
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    # then neurons woke and the loss fell; sleepers are exactly zero with their biases
    assert losses[-1] < 0.5 * losses[0]
    assert sum(active()) > sum(start)
    assert sum(active()) <= most
    for layer in hidden:
        asleep = ~regularizer.active([layer.weight])[0]
        assert not layer.bias[asleep].any()


def test_the_package_needs_torch_alone():
    # given torch with all that it brings, when linbreg is imported too, then nothing else comes
    code = """
import sys, torch
before = set(sys.modules)
import linbreg
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {"linbreg", "torch"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
