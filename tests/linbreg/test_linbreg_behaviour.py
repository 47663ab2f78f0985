"""What the method is for: sparse networks grow, and missing connections are found."""

import subprocess
import sys

import pytest
import torch

from linbreg import L1, AdaBreg, GroupL1, LinBreg, sparse_rows_


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


BREGMAN = [lambda p: LinBreg(p, lr=0.1), lambda p: LinBreg(p, lr=0.1, momentum=0.9), lambda p: AdaBreg(p, lr=5e-3)]


@pytest.mark.parametrize("make", BREGMAN, ids=["LinBreg", "momentum", "AdaBreg"])
@pytest.mark.parametrize("split", [False, True], ids=["vector", "scalars"])
def test_of_scalars_that_start_at_zero_those_wake_that_the_data_needs(make, split):
    # given y = Σ s_j x_j + noise with two of six skips in use, the weaker one small, all s from zero
    generator = torch.Generator().manual_seed(2)
    truth = torch.tensor([0.0, 1.0, 0.0, 0.0, -0.5, 0.0])
    skips = [torch.nn.Parameter(torch.zeros(())) for _ in truth] if split else [torch.nn.Parameter(torch.zeros(6))]
    regularizer = L1(0.3)
    optimizer = make([{"params": skips, "regularizer": regularizer}])

    def values():
        return torch.stack(skips) if split else skips[0]

    # when batches come, with noise of their own
    woke = {}
    for k in range(600):
        x = torch.randn(64, 6, generator=generator)
        y = x @ truth + 0.1 * torch.randn(64, generator=generator)
        optimizer.zero_grad()
        (x @ values() - y).square().mean().backward()
        optimizer.step()
        for j in values().nonzero().flatten().tolist():
            woke.setdefault(j, k)

    # then nothing was awake at once, the stronger skip woke first, only those two did, and at the end they are right
    assert list(woke) == [1, 4]
    assert woke[1] > 0
    assert torch.equal(values() != 0, truth != 0)
    assert (values() - truth).abs().max().item() <= 0.05


def residual_pair():
    """x₃ = σ(W₂x₂) + Σ s_j x_j over the input, x₁ and x₂: a teacher that uses the input alone, and its student."""

    class Residual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(6, 6) for _ in range(3))
            self.skips = torch.nn.Parameter(torch.zeros(3))

        def forward(self, x):
            seen = []
            for layer in self.layers:
                seen.append(x)
                x = torch.nn.functional.silu(layer(x))
            return x + sum(s * y for s, y in zip(self.skips, seen, strict=True))

    torch.manual_seed(0)
    teacher, student = Residual().requires_grad_(False), Residual()
    student.layers.load_state_dict(teacher.layers.state_dict())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        teacher.skips[0] = 0.7
        for param in student.layers.parameters():
            param += 0.05 * torch.randn(param.shape, generator=generator)
    return teacher, student, generator


@pytest.mark.parametrize("lam", [0.1, 1.0])
@pytest.mark.parametrize(
    ("make", "settings", "finds"),
    [
        (lambda p: LinBreg(p, lr=0.1), {}, True),
        (lambda p: LinBreg(p, lr=0.1, momentum=0.9), {}, True),
        # Adam's step forgets how large a gradient is: signs that agree wake the wrong skips too
        (lambda p: AdaBreg(p, lr=5e-3), {}, False),
        # an ϵ that outweighs √s keeps the size: in this param group AdaBreg is LinBreg with momentum
        (lambda p: AdaBreg(p, lr=5e-3), {"lr": 0.1, "eps": 1.0}, True),
    ],
    ids=["LinBreg", "momentum", "AdaBreg", "AdaBreg, large eps"],
)
def test_a_residual_network_finds_the_skip_that_its_teacher_has(make, settings, finds, lam):
    teacher, student, generator = residual_pair()
    optimizer = make(
        [{"params": [student.skips], "regularizer": L1(lam), **settings}, {"params": student.layers.parameters()}]
    )

    # when all weights learn from the teacher at once
    losses = []
    for _ in range(600):
        x = torch.randn(64, 6, generator=generator)
        optimizer.zero_grad()
        loss = (student(x) - teacher(x)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    # then the student has that skip and no other, where sizes are looked at
    assert losses[-1] < 0.05 * losses[0]
    assert (student.skips != 0).tolist() == ([True, False, False] if finds else [True, True, True])
    if finds:
        assert student.skips[0].item() == pytest.approx(0.7, abs=0.05)


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
