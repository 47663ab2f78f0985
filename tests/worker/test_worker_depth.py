"""A search of depth on real digits: from a linear start to a plain network, left and taken up at any batch."""

import math

import numpy as np
import pytest
import torch

import datasets
from linbreg.gates import GateRule
from models.network import Network
from spec import macs, parameters
from spec.mlp import Mlp
from spec.task import Autoencode, Classify, Denoise, Regress
from worker import checkpoint
from worker.depth import DepthTraining
from worker.linear import closed_form
from worker.objective import objective
from worker.samples import Samples
from worker.training import evaluate

# Short windows: a run of a second has three openings.
RULE = GateRule(window=12, ramp=10, settled=1.0, repaid=False)
LIMIT = 6000
BATCHES = 23  # of 64 in 1,437 digits


@pytest.fixture(scope="module")
def digits():
    return Samples(datasets.load("digits", None))


def begin(samples, task=None, **changes):
    settings = {
        "size": parameters, "limit": LIMIT, "steps": 10 * BATCHES, "batch_size": 64, "seed": 3, "rule": RULE,
    } | changes  # fmt: skip
    task = task or Denoise(kind="denoise", sigma=0.3)
    outputs = (samples.classes,) if isinstance(task, Classify) else (1, 8, 8)
    return DepthTraining(
        "search", Mlp(kind="mlp", widths=(32,) * 4), 0.003, objective(task), samples,
        input_shape=(1, 8, 8), output_shape=outputs, **settings,
    )  # fmt: skip


def nothing():
    pass


def train(training, between=nothing):
    while training.epoch < training.epochs:
        training.run_epoch(between)
    return training


def test_it_ends_as_a_plain_network_at_the_limit_that_computes_what_was_validated(digits):
    training = train(begin(digits))
    gated, network = training.network, training.finish()
    assert type(network) is Network
    assert 0.98 * LIMIT < parameters(network.graph) <= LIMIT
    assert len(list(network.graph.layers())) == len(training.opened) + 1
    scores = evaluate(network, training.objective, digits.splits["validation"], 3, "validation")
    assert scores.loss == pytest.approx(training.best_loss, rel=1e-5)
    x = digits.splits["validation"].batch(torch.arange(50))[0]
    with torch.no_grad():
        torch.testing.assert_close(network(x), gated(x), rtol=0, atol=1e-5)


def test_it_begins_with_the_best_linear_network_of_its_rank(digits):
    training = begin(digits)
    width = min(node.width for node in training.network.graph.nodes if node.activation == "silu")
    size = 65 * width + (width + 1) * 64  # two layers of this rank; one layer has 4,160 parameters
    assert size < 4160
    best = closed_form(training.objective, digits, (1, 8, 8), (1, 8, 8), parameters, size)
    assert best is not None
    expected = evaluate(best, training.objective, digits.splits["validation"], 3, "validation")
    assert training.validate().loss == pytest.approx(expected.loss, rel=1e-4)


def test_regression_begins_with_the_least_squares_and_improves_on_them():
    draw = np.random.default_rng(0)
    x = draw.normal(2, 3, (600, 5)).astype(np.float32)
    y = np.stack([x @ draw.normal(size=5) + np.sin(x[:, 0]), 100 * np.abs(x[:, 1])], axis=1).astype(np.float32)
    splits = {"train": np.arange(400), "validation": np.arange(400, 500), "test": np.arange(500, 600)}
    samples = Samples(datasets.Dataset("waves", x, y, splits))
    assert samples.outputs is not None
    goal = objective(Regress(kind="regress"), samples.outputs.std)
    training = DepthTraining(
        "search", Mlp(kind="mlp", widths=(32,) * 3), 0.01, goal, samples, input_shape=(5,), output_shape=(2,),
        size=parameters, limit=300, steps=40 * 15, batch_size=32, seed=1, rule=RULE,
    )  # fmt: skip
    ones = np.hstack([x, np.ones((600, 1), np.float32)]).astype(np.float64)
    fit = np.linalg.lstsq(ones[:400], y[:400], rcond=None)[0]
    squares = np.square((ones @ fit - y)[400:500] / y[:400].std(axis=0)).mean()
    assert training.validate().loss == pytest.approx(squares, rel=1e-3)
    assert evaluate(train(training).finish(), goal, samples.splits["validation"], 1, "v").loss < 0.5 * squares


def test_without_a_closed_form_it_begins_at_random(digits):
    training = begin(digits, Classify(kind="classify"))
    assert training.validate().loss == pytest.approx(2.4, abs=0.3)  # ln 10 and a little
    train(training)
    assert training.best_loss < 0.5


def test_the_gates_tell_which_layers_open_epoch_by_epoch(digits):
    training = begin(digits)
    told = []
    while training.epoch < training.epochs:
        training.run_epoch(nothing)
        told.append(training.gates)
    assert all(list(gates) == ["hidden1", "hidden2", "hidden3", "hidden4"] for gates in told)
    assert set(told[0].values()) == {0.0}
    assert {name for name, gate in told[-1].items() if gate == 1} == set(training.opened)
    assert {name for name, gate in told[-1].items() if gate == 0} == set(training.layers) - set(training.opened)
    assert training.opened


def test_the_step_size_warms_up_twice_and_ends_near_nothing(digits):
    training = begin(digits)
    rates = [training.lr()]
    train(training, lambda: rates.append(training.lr()))
    rates.pop()  # that of a step after the last
    whole = [0.003 * 0.5 * (1 + math.cos(math.pi * step / len(rates))) for step in range(len(rates))]
    shares = [rate / full for rate, full in zip(rates, whole, strict=True)]
    rise = [step / 20 for step in range(1, 21)]
    merged = training.merged_at
    assert shares[:20] == pytest.approx([0.5 * part for part in rise])
    assert shares[20:merged] == pytest.approx([0.5] * (merged - 20))
    assert shares[merged : merged + 20] == pytest.approx(rise)
    assert shares[merged + 20 :] == pytest.approx([1.0] * (len(shares) - merged - 20))


@pytest.fixture(scope="module")
def whole(digits):
    torch.set_num_threads(1)
    training = train(begin(digits))
    assert training.merged_at is not None
    assert 95 - RULE.ramp < training.merged_at < 95
    return training


LEFT_AT = [3, 30, 59, 75, 95, 200]  # before an opening, in a ramp, in windows, in the ramp after the merge, late


@pytest.mark.parametrize("left_at", LEFT_AT)
def test_left_and_taken_up_at_any_batch_it_ends_with_the_same_bytes(digits, whole, tmp_path, left_at):
    class LeftError(Exception):
        pass

    first = begin(digits)

    def leave():
        if first.epoch * first.batches + first.batch == left_at:
            raise LeftError

    with pytest.raises(LeftError):
        train(first, leave)
    checkpoint.save(tmp_path, *first.state())
    second = begin(digits)
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    second.restore(*loaded)
    train(second)
    assert second.opened == whole.opened
    assert second.opening.strengths == whole.opening.strengths
    assert second.best_loss == whole.best_loss
    expected = whole.finish().state_dict()
    for name, tensor in second.finish().state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize(("size", "limit"), [(parameters, 2000), (macs, 3000), (parameters, 40_000)])
def test_any_size_is_kept(digits, size, limit):
    network = train(begin(digits, size=size, limit=limit, steps=4 * BATCHES)).finish()
    assert 0.95 * limit < size(network.graph) <= limit


def test_a_run_too_short_for_a_window_opens_one_layer(digits):
    training = train(begin(digits, steps=1 * BATCHES, rule=GateRule()))
    assert len(training.opened) == 1
    assert parameters(training.finish().graph) > 0.95 * LIMIT


def test_where_nothing_must_open_and_nothing_does_it_ends_linear(digits):
    long = GateRule(least=0)
    two = train(begin(digits, steps=1 * BATCHES, rule=long))
    assert two.opened == []
    network = two.finish()
    assert [node.activation for node in network.graph.layers()] == ["none"]  # 4,160 parameters fit
    small = train(begin(digits, Autoencode(kind="autoencode"), steps=1 * BATCHES, rule=long, limit=2000)).finish()
    assert [node.activation for node in small.graph.layers()] == ["none", "none"]
    assert parameters(small.graph) <= 2000
    best = closed_form(objective(Autoencode(kind="autoencode")), digits, (1, 8, 8), (1, 8, 8), parameters, 2000)
    assert best is not None
    reached = evaluate(small, objective(Autoencode(kind="autoencode")), digits.splits["validation"], 3, "v").loss
    possible = evaluate(best, objective(Autoencode(kind="autoencode")), digits.splits["validation"], 3, "v").loss
    assert reached < 1.5 * possible


def test_a_limit_below_a_neuron_a_layer_is_refused(digits):
    with pytest.raises(ValueError, match="the limit is 100"):
        begin(digits, limit=100)
