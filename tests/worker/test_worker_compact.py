"""Whole searches with compact steps: what the plain ones find, also when they are interrupted."""

import pytest
import torch

import datasets
from models.compact import CompactMlp
from models.stepper import Stepper
from worker import searching
from worker.failure import SearchFailed, Stopped
from worker.pipeline import Pipeline
from worker.samples import Samples

SHORT = {
    "superstructure": {"kind": "mlp", "widths": [80, 64, 80], "group_head": True},
    "budget": {"epochs": 3, "batch_size": 64},
    "finetune": {"epochs": 0},
    "compare": [],
}


@pytest.fixture(scope="module")
def digits():
    return Samples(datasets.load("digits", None))


def run(folder, samples, emit=lambda message: None, stopping=lambda: False):
    return Pipeline(folder.read_job(), folder, samples, emit, stopping).run()


@pytest.mark.parametrize(
    "changes",
    [
        {"target": {"fraction": 0.3}},
        {"method": {"optimizer": "linbreg", "lr": 0.3, "lam": 0.1, "momentum": 0.0}},
        {"method": {"optimizer": "linbreg", "lr": 0.3, "lam": 0.1}},
    ],
)
def test_a_search_finds_what_the_plain_step_finds(digits, make_folder, monkeypatch, changes):
    told = {}
    for kind in (CompactMlp, Stepper):
        monkeypatch.setattr(
            searching, "stepper_for", lambda network, moves, clip=None, *, kind=kind, **_: kind(network, moves)
        )
        said = told[kind] = []
        outcome = run(make_folder(kind.__name__, **{**SHORT, **changes}), digits, said.append)
        assert outcome.found.difference < 1e-5
        said.append(outcome.found)
    *ours, found = told[CompactMlp]
    *theirs, expected = told[Stepper]
    assert found.counts == expected.counts
    assert found.network.graph == expected.network.graph
    for name, tensor in found.network.state_dict().items():
        torch.testing.assert_close(tensor, expected.network.state_dict()[name], rtol=1e-3, atol=1e-4)
    epochs = [[message for message in said if message.kind == "epoch"] for said in (ours, theirs)]
    assert len(epochs[0]) == 3
    for one, other in zip(*epochs, strict=True):
        assert (one.counts, one.share, one.lam) == (other.counts, other.share, pytest.approx(other.lam, rel=1e-4))
        assert (one.train_loss, one.validation_loss) == pytest.approx(
            (other.train_loss, other.validation_loss), rel=1e-4
        )


def test_a_search_that_diverges_with_its_last_step_says_so(digits, make_folder):
    changes = {
        "superstructure": {"kind": "mlp", "widths": [80, 80, 8, 80], "group_head": False},
        "task": {"kind": "autoencode"}, "seed": 75, "budget": {"epochs": 1, "batch_size": 600},
        "method": {
            "optimizer": "linbreg", "momentum": 0.0, "lr": 70.14315517631168, "lam": 0.1, "density": 0.05,
            "delta": 79.79328503040733,
        },
    }  # fmt: skip
    with pytest.raises(SearchFailed, match="loss became") as failed:
        run(make_folder(**{**SHORT, **changes}), digits)
    assert failed.value.code == "loss_not_finite"


def test_interrupted_at_any_batch_it_ends_with_the_same_bits(digits, make_folder):
    changes = {**SHORT, "target": {"fraction": 0.3}}
    straight = run(make_folder("straight", **changes), digits)
    folder, batches = make_folder("interrupted", **changes), iter(range(10**6))
    for stop in (2, 30, 31, 55):  # in each epoch, and once after a single batch
        with pytest.raises(Stopped):
            run(folder, digits, stopping=lambda stop=stop: next(batches) >= stop)
    again = run(folder, digits)
    assert again.found.counts == straight.found.counts
    assert [one.epoch for one in again.path] == [one.epoch for one in straight.path]
    pairs = [(again.found.network, straight.found.network)]
    pairs += [(one.network, other.network) for one, other in zip(again.path, straight.path, strict=True)]
    for one, other in pairs:
        assert one.graph == other.graph
        assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())
