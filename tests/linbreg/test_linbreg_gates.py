"""Layers open one after the other where their duals say so; against NumPy in float64 and closed forms."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from linbreg.gates import GateRule, LayerGates, gated, ramp_

RULE = GateRule(window=8, ramp=4, threshold=1.25, settled=0.02, repaid=False, patience=2, least=0)


def gates(*widths):
    return [torch.zeros(width, requires_grad=True) for width in widths]


def feed(opener, gradients, loss=1.0):
    """One step with these gradients of the loss, one a layer."""
    for gate, gradient in zip(opener.gates, gradients, strict=True):
        gate.grad = torch.as_tensor(gradient, dtype=gate.dtype).clone()
    opener.step(loss)


def noise(seed, *widths):
    return [torch.randn(width, generator=torch.Generator().manual_seed(1000 * seed + width)) for width in widths]


def test_the_activation_is_linear_at_0_and_silu_at_both_ends():
    z = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 5
    gate = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    expected = torch.stack([z[:, 0], 2 * F.silu(z[:, 1]), -2 * F.silu(-z[:, 2])], dim=1)
    torch.testing.assert_close(gated(z, gate), expected, rtol=1e-14, atol=1e-14)


def test_a_ramp_ends_exactly_at_its_signs():
    for steps in (1, 3, 7, 50):
        gate, signs = torch.zeros(4), torch.tensor([1.0, -1.0, -1.0, 1.0])
        for step in range(1, steps + 1):
            ramp_(gate, signs, 1 / steps)
            torch.testing.assert_close(gate, signs * step / steps)
        assert torch.equal(gate, signs)
        ramp_(gate, signs, 1 / steps)
        assert torch.equal(gate, signs)


def test_strength_is_the_dual_over_the_noise_as_numpy_says():
    opener = LayerGates(gates(5, 3), RULE)
    log = []
    for step in range(16):
        gradients, loss = noise(step, 5, 3), 0.5 + 0.01 * step
        if step >= 8:  # the first window is only what the second is compared with
            log.append([gradient.double().numpy() / loss for gradient in gradients])
        feed(opener, gradients, loss)
    expected = [
        np.linalg.norm(np.sum([row[layer] for row in log], axis=0))
        / math.sqrt(sum(float(np.square(row[layer]).sum()) for row in log))
        for layer in (0, 1)
    ]
    assert opener.strengths == [pytest.approx(expected, rel=1e-5)]


def test_noise_opens_nothing_and_two_windows_of_it_end_the_test():
    opener = LayerGates(gates(400, 400), RULE)
    for step in range(8 * 3):
        assert not opener.done
        feed(opener, noise(step, 400, 400))
    assert opener.done
    assert opener.opened == []
    assert np.allclose(opener.strengths, 1, atol=0.2)


def test_the_layer_whose_gradients_agree_opens_towards_its_dual():
    opener = LayerGates(gates(400, 6), RULE)
    pull = torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0, -6.0])
    for step in range(16):
        feed(opener, [noise(step, 400)[0], pull])
    assert opener.opened == [1]
    assert opener.strengths[0][1] == pytest.approx(math.sqrt(8))  # all T gradients agree
    for step in range(4):
        feed(opener, [noise(step, 400)[0], torch.zeros(6)])
    assert torch.equal(opener.gates[1].detach(), -pull.sign())  # v is minus the gradient
    assert not opener.gates[0].detach().any()


def test_one_layer_opens_at_a_time_and_the_window_of_its_ramp_is_not_judged():
    opener = LayerGates(gates(3, 3, 3), RULE)
    pulls = [torch.full((3,), 1.0), torch.full((3,), 2.0), torch.full((3,), 3.0)]
    opened = []
    for _ in range(8 * 6):
        feed(opener, pulls)
        opened.append(len(opener.opened))
    changes = [step + 1 for step in range(1, len(opened)) if opened[step] != opened[step - 1]]
    assert changes == [16, 32, 48]
    assert opener.done


def test_while_the_loss_still_falls_nothing_is_judged():
    losses = [2.0] * 8 + [1.5] * 8 + [1.4] * 8 + [1.39] * 8
    opener = LayerGates(gates(3), RULE)
    for count, loss in enumerate(losses, start=1):
        feed(opener, [torch.ones(3)], loss)
        assert bool(opener.opened) == (count == 32)
    hasty = LayerGates(gates(3), GateRule(window=8, settled=1.0))
    for loss in losses[:16]:
        feed(hasty, [torch.ones(3)], loss)
    assert hasty.opened == [0]


def test_a_layer_waits_until_the_last_opening_has_paid():
    means = [1.0, 1.0, 3.0, 2.0, 1.01, 1.005, 0.995, 0.99]  # the first layer opens after the second window
    opener = LayerGates(gates(3, 3), GateRule(window=8))
    opened = []
    for loss in means:
        for _ in range(8):
            feed(opener, [torch.ones(3), torch.ones(3)], loss)
        opened.append(len(opener.opened))
    assert opened == [0, 1, 1, 1, 1, 1, 2, 2]


def test_at_least_so_many_layers_open_though_it_is_all_noise():
    opener = LayerGates(gates(400, 400), GateRule(window=8, threshold=5.0, repaid=False, least=1))
    for step in range(8 * 10):
        feed(opener, noise(step, 400, 400))
    assert len(opener.opened) == 1
    assert opener.done


@pytest.mark.parametrize("steps", [5, 8, 11])
def test_when_time_is_over_the_strongest_layers_open_that_must(steps):
    opener = LayerGates(gates(400, 6), GateRule(window=8, least=1))
    for step in range(steps):
        feed(opener, [noise(step, 400)[0], torch.ones(6)], 1 / (step + 1))  # it never settles
    assert not opener.opened
    opener.finish()
    assert (opener.opened, opener.done) == ([1], True)
    assert torch.equal(opener.signs[1], -torch.ones(6))


def test_scaling_the_loss_changes_nothing():
    small, large = LayerGates(gates(7), RULE), LayerGates(gates(7), RULE)
    for step in range(16):
        (gradient,) = noise(step, 7)
        feed(small, [gradient], 0.5)
        feed(large, [gradient * 1024], 512.0)
    assert small.strengths == large.strengths


def test_a_loss_of_0_counts_for_nothing_and_a_negative_one_is_refused():
    opener = LayerGates(gates(2), RULE)
    for _ in range(16):
        feed(opener, [torch.zeros(2)], 0.0)
    assert opener.strengths == [[0.0]]
    with pytest.raises(ValueError, match="loss is -1"):
        feed(opener, [torch.zeros(2)], -1.0)


@pytest.mark.parametrize("left_at", [1, 11, 17, 21, 30])
def test_what_is_taken_up_again_goes_on_as_if_it_had_not_been_left(left_at):
    def go(opener, steps):
        for step in steps:
            feed(opener, [torch.ones(3), *noise(step, 5)], 1 + 0.001 * step)

    whole = LayerGates(gates(3, 5), RULE)
    go(whole, range(40))
    first = LayerGates(gates(3, 5), RULE)
    go(first, range(left_at))
    second = LayerGates([gate.detach().clone().requires_grad_() for gate in first.gates], RULE)
    second.load_state_dict(first.state_dict())
    go(second, range(left_at, 40))
    assert second.opened == whole.opened == [0]
    assert second.strengths == whole.strengths
    assert all(torch.equal(a, b) for a, b in zip(second.gates, whole.gates, strict=True))
