"""Compact steps are the plain ones: the same supports at every step, the same weights to rounding."""

import time

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linbreg import AdaBreg, LinBreg, ProxAdam
from models.budget import Budget, start_density
from models.compact import CompactMlp
from models.compact_rule import LONGEST, decay_steps, fits
from models.groups import active_masks, parameter_groups, sparse_start_
from models.network import Affine, Network
from models.shrink import LayerDied, shrink
from models.stepper import Stepper
from models.steppers import stepper_for
from spec import Target
from spec.mlp import Mlp

OPTIMIZERS = {
    "linbreg": lambda groups: LinBreg(groups, lr=0.2),
    "linbreg, δ": lambda groups: LinBreg(groups, lr=0.1, delta=2.0),
    "linbreg, momentum": lambda groups: LinBreg(groups, lr=0.2, momentum=0.9),
    "adabreg": lambda groups: AdaBreg(groups, lr=3e-3),
    "adabreg, short": lambda groups: AdaBreg(groups, lr=3e-3, betas=(0.5, 0.9), eps=1e-6),
}


def begun(kind, optimizer="adabreg", widths=(24, 17, 30), dtype=torch.float64, seed=0, target=None, lam=0.05, **form):
    """A search before its first step, with inputs and targets that are not standardised."""
    graph = Mlp(kind="mlp", widths=widths, **form).graph((2, 3, 2), (7,))
    inputs, outputs = (
        Affine(torch.full((2, 1, 1), 0.3), torch.full((2, 1, 1), 2.0)),
        Affine(torch.ones(7), torch.ones(7) / 2),
    )
    network = Network(graph, inputs, outputs).to(dtype)
    density = 0.2 if target is None else start_density(graph, target, 1.0)
    sparse_start_(network, density=density, scale=2.0, generator=torch.Generator().manual_seed(seed))
    return kind(network, OPTIMIZERS[optimizer](parameter_groups(network, lam)))


def batches(count, seed, dtype=torch.float64):
    """Batches of a regression; every fifth is smaller, and every third has weak targets."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(256, 2, 3, 2, generator=generator).to(dtype)
    y = torch.tanh(x.flatten(1) @ torch.randn(12, 7, generator=generator).to(dtype))
    for step in range(count):
        rows = torch.randint(256, (9 if step % 5 == 4 else 32,), generator=generator)
        yield x[rows], y[rows]


def train(stepper, steps, seed=0, budget=None, lams=None, first=0):
    """Train, and yield after every step who is active: by the network where it is whole, else by its stepper."""
    for step, (x, y) in enumerate(batches(steps, seed, next(stepper.network.parameters()).dtype), start=1):
        if step <= first:
            continue
        stepper.step(x, lambda output, y=y: (output - y).square().mean())
        if budget is not None:
            budget.after(step, ends_epoch=step % 40 == 0)
        if lams is not None and step in lams:
            for group in stepper.optimizer.param_groups[: len(stepper.network.graph.index_sets())]:
                group["regularizer"].lam = lams[step]
            stepper.apply_prox()
        yield step, masks(stepper)


def masks(stepper):
    layers = stepper._layers if isinstance(stepper, CompactMlp) else None
    if layers is None:
        return {name: mask.tolist() for name, mask in active_masks(stepper.network).items()}
    found = {}
    for index, node in enumerate(stepper._nodes):
        if node.searched:
            mask = torch.zeros(node.width, dtype=torch.bool)
            mask[layers.of(layers.places, index)] = layers.of(layers.scales, index) > 0
            found[node.name] = mask.tolist()
    return found


def farthest(a, b):
    """The largest difference of weights, duals and moments."""
    states = [[s.network.state_dict(), *s.optimizer.state_dict()["state"].values()] for s in (a, b)]
    pairs = [(own[name], other[name]) for own, other in zip(*states, strict=True) for name in own]
    return max(float((one - two).abs().max()) for one, two in pairs)


@settings(max_examples=8, deadline=None)
@example(  # its outputs die, and momentum alone wakes a neuron
    optimizer="linbreg, momentum", activation="silu", group_head=True, output="relu", widths=[13, 17, 7, 17],
    target=Target(neurons=25), seed=522,
)  # fmt: skip
@given(
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    activation=st.sampled_from(["silu", "gelu", "relu"]),
    group_head=st.booleans(),
    output=st.sampled_from(["none", "relu"]),
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    target=st.sampled_from([None, Target(fraction=0.3), Target(neurons=25)]),
    seed=st.integers(0, 999),
)
def test_a_search_has_the_same_supports_and_weights(optimizer, activation, group_head, output, widths, target, seed):
    form = {"activation": activation, "group_head": group_head, "output_activation": output}
    if target is not None and target.neurons:
        target = Target(neurons=max(len(widths) + 1, (sum(widths) + 7 * group_head) // 2))
    how = {"optimizer": optimizer, "widths": tuple(widths), "seed": seed, "target": target, **form}
    plain, compact = begun(Stepper, **how), begun(CompactMlp, **how)
    assert fits(compact.network, compact.optimizer)
    steps = 180
    budgets = [target and Budget(stepper, target, steps) for stepper in (plain, compact)]
    jumps = None if target else {60: 0.12, 120: 0.03}
    before, fell = {}, False
    both = [train(s, steps, seed, b, jumps) for s, b in zip((plain, compact), budgets, strict=True)]
    for (step, one), (_, other) in zip(*both, strict=True):
        assert one == other, f"after step {step}"
        fell = fell or any(a and not b for k in before for a, b in zip(before[k], one[k], strict=True))
        before = one
    compact.write_back()
    assert farthest(plain, compact) <= (1e-9 if fell else 1e-12)


@pytest.mark.parametrize("optimizer", ["linbreg", "linbreg, momentum", "adabreg", "adabreg, short"])
def test_neurons_that_return_after_long_sleep_go_on_as_if_they_had_never_left(optimizer):
    """λ rises, so that most fall asleep; their moments die down; and it falls again."""
    high = 0.1 if "linbreg" in optimizer else 0.4  # what was asleep long makes a large step when λ falls
    lams = {100: high, 520: 0.02, 560: high, 580: 0.02}
    plain, compact = (begun(kind, optimizer, lam=0.02, group_head=True) for kind in (Stepper, CompactMlp))
    counts, left = [], False
    for (step, one), (_, other) in zip(train(plain, 640, lams=lams), train(compact, 640, lams=lams), strict=True):
        assert one == other, f"after step {step}"
        counts.append(sum(map(sum, one.values())))
        left = left or bool((compact._layers.left >= 0).any())
    assert min(counts[100:500]) < 0.7 * counts[98] < counts[-1]
    assert left == (optimizer != "linbreg"), "there were some whose moments were left to die down"
    compact.write_back()
    assert farthest(plain, compact) <= 1e-9


@pytest.mark.parametrize("optimizer", ["linbreg, momentum", "adabreg"])
def test_what_still_moves_when_it_is_taken_up_from_the_plain_form_goes_on_moving(optimizer):
    """λ jumps, so that many fall asleep; then the plain form is written, with moments that have not died down."""
    plain, compact = (begun(kind, optimizer, lam=0.02, group_head=True) for kind in (Stepper, CompactMlp))
    jumps = {100: 0.1 if "linbreg" in optimizer else 0.4}
    for (step, one), (_, other) in zip(*(train(s, 160, lams=jumps) for s in (plain, compact)), strict=True):
        assert one == other, f"after step {step}"
        if step in (60, 101, 103, 110, 130):
            compact.write_back()
    compact.write_back()
    assert farthest(plain, compact) <= 1e-9


@pytest.mark.parametrize("betas", [(0.9,), (0.98,), (0.9, 0.999), (0.95, 0.95)])
def test_a_neuron_leaves_the_front_when_its_steps_are_less_than_rounding(betas):
    steps, (first, second) = decay_steps(betas), (*betas, 1.0)[:2]
    assert 300 <= steps <= LONGEST
    assert (first / second**0.5) ** steps < 1e-13
    assert steps == 300 or (first / second**0.5) ** steps > 1e-15, "and not much later"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("optimizer", ["linbreg", "linbreg, momentum", "adabreg"])
def test_taken_up_from_its_state_it_goes_on_bit_by_bit(optimizer, dtype):
    lams = {60: 0.2, 110: 0.03}
    straight, again = (begun(CompactMlp, optimizer, dtype=dtype, group_head=True) for _ in range(2))
    for step, _ in train(straight, 140, lams=lams):
        if step in (20, 75, 118):
            tensors, values = straight.state()
            assert step != 20 or bool(values["owing"]) == ("linbreg" in optimizer), "sleepers are owed their steps"
            kept = {name: tensor.clone() for name, tensor in tensors.items()}
            again.restore(kept, values)
            assert values["kind"] == "compact"
            rest = [found for _, found in train(again, 140, lams=lams, first=step)]
    assert rest[-1] == masks(straight)
    for stepper in (straight, again):
        stepper.write_back()
    assert farthest(straight, again) == 0


@pytest.mark.parametrize("group_head", [False, True])
def test_what_it_says_between_steps_is_what_is_written_back(group_head):
    compact, target = begun(CompactMlp, group_head=group_head, activation="gelu"), Target(fraction=0.4)
    for _ in train(compact, 60):
        pass
    assert next(compact.network.parameters()).numel() == 0, "weights do not exist meanwhile"
    small, counts, in_use, scores = compact.shrunk(), compact.counts(), compact.in_use(), compact.scores()
    x = torch.randn(50, 2, 3, 2, dtype=torch.float64)
    y = compact.model()(x)
    compact.write_back()
    plain = Stepper(compact.network, compact.optimizer)
    assert (counts, in_use) == (plain.counts(), plain.in_use())
    for ours, theirs in zip(scores, plain.scores(), strict=True):
        torch.testing.assert_close(ours.sort().values, theirs.sort().values, rtol=1e-12, atol=0)
    assert target.size(small.graph) == target.size(compact.network.graph, counts)
    expected = shrink(compact.network).state_dict()
    assert small.state_dict().keys() == expected.keys()
    for name, tensor in small.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(compact.network(x), y, rtol=1e-9, atol=1e-12)


def test_a_layer_that_has_died_is_said_and_can_still_be_run():
    compact = begun(CompactMlp)
    for _ in train(compact, 5, lams={5: 10.0}):
        pass
    with pytest.raises(LayerDied, match="hidden"):
        compact.shrunk()
    assert torch.isfinite(compact.model()(torch.randn(4, 2, 3, 2, dtype=torch.float64))).all()


@pytest.mark.parametrize("optimizer", ["linbreg", "linbreg, momentum"])
def test_sleepers_that_are_owed_their_steps_wake_when_the_plain_ones_do(optimizer):
    """With steps so small that nobody is paid for long; and a λ that is changed by hand, without a word."""
    plain, compact = (begun(kind, optimizer, widths=(60, 50), lam=0.1) for kind in (Stepper, CompactMlp))
    longest = waited = woken = 0
    before = masks(plain)
    for step, (x, y) in enumerate(batches(400, 1), start=1):
        for stepper in (plain, compact):
            stepper.optimizer.param_groups[0]["lr"] = 0.02
            stepper.optimizer.param_groups[1]["lr"] = 0.05
            for group in stepper.optimizer.param_groups[:2]:
                group["regularizer"].lam = 0.1 if step < 200 else 0.05
            stepper.step(x, lambda output, y=y: (output - y).square().mean())
        now = masks(plain)
        assert now == masks(compact), f"after step {step}"
        woken += sum(b and not a for k in now for a, b in zip(before[k], now[k], strict=True))
        before = now
        owes = any(bool(owed.steps.any()) for owed in compact._layers.owed.values())
        waited = waited + 1 if owes else 0
        longest = max(longest, waited)
    assert longest > 20
    assert woken >= 3
    compact.write_back()
    assert farthest(plain, compact) <= 1e-9


def test_a_loss_that_is_not_finite_moves_nothing():
    compact = begun(CompactMlp)
    for _ in train(compact, 3):
        pass
    before = [layer.dual.clone() for layer in compact._layers.layers]
    assert compact.step(torch.full((4, 2, 3, 2), torch.inf, dtype=torch.float64), torch.sum) != 0
    assert all(torch.equal(layer.dual, was) for layer, was in zip(compact._layers.layers, before, strict=True))


@pytest.mark.parametrize(
    ("form", "optimizer", "expected"),
    [
        ({}, lambda g: AdaBreg(g), CompactMlp),
        ({"group_head": True, "activation": "relu"}, lambda g: LinBreg(g, lr=0.1), CompactMlp),
        ({"bias": "free"}, lambda g: AdaBreg(g), Stepper),
        ({"skips": "searched", "widths": (9, 9)}, lambda g: AdaBreg(g), Stepper),
        ({}, lambda g: LinBreg(g, lr=0.1, momentum=0.9), CompactMlp),
        ({}, lambda g: LinBreg(g, lr=0.1, momentum=0.999), Stepper),  # its steps die down too late
        ({}, lambda g: AdaBreg(g, weight_decay=1e-4), Stepper),
        ({}, lambda g: AdaBreg(g, betas=(0.99, 0.9)), Stepper),  # its steps never die down
        ({}, lambda g: ProxAdam(g), Stepper),
    ],
)
def test_what_is_not_covered_takes_the_plain_step(form, optimizer, expected):
    network = Network(Mlp(kind="mlp", **{"widths": (8, 9), **form}).graph((5,), (3,)))
    assert type(stepper_for(network, optimizer(parameter_groups(network, 0.1)))) is expected
    assert type(stepper_for(network, optimizer(parameter_groups(network, 0.1)), clip=1.0)) is Stepper


def test_no_clock_is_read(monkeypatch):
    """What a step does follows from the state alone, so that a slow machine finds the same network."""

    def clock():
        raise AssertionError("a step looked at a clock")

    compact = begun(CompactMlp)
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        monkeypatch.setattr(time, f"{name}_ns", clock)
        monkeypatch.setattr(time, name, clock)
    assert len(list(train(compact, 120, lams={50: 0.3, 80: 0.02}))) == 120
