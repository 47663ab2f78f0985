"""Whole searches of convolutions: exact steps find what plain ones find, and cycles can be interrupted anywhere."""

import pytest
import torch

from models.cycle import ActiveStepper, Cycle
from models.price import Price
from models.stepper import Stepper
from worker import searching
from worker.failure import Stopped
from worker.pipeline import Pipeline

from .test_worker_unets import SMALL, SPEC, samples

SHORT = {**SPEC, "target": SMALL, "budget": {"epochs": 14, "batch_size": 6}, "finetune": {"epochs": 0}}


@pytest.fixture(autouse=True)
def small_networks_pay(monkeypatch):
    """But no cycle with the last batch of an epoch, which has four images and not six."""

    def pays(self, counts, given, way):
        return self.known and all(counts.values()) and (way == "exact" or len(given) == 6)

    monkeypatch.setattr(Price, "pays", pays)


def run(folder, stopping=lambda: False):
    return Pipeline(folder.read_job(), folder, samples(), lambda message: None, stopping).run()


@pytest.mark.parametrize("selection", ["swaps", "quantile"])
def test_a_search_of_exact_steps_finds_what_plain_ones_find(make_folder, monkeypatch, selection):
    changes = {**SHORT, "method": {**SPEC["method"], "selection": selection}}
    found = {}
    for kind in (ActiveStepper, Stepper):
        monkeypatch.setattr(
            searching, "stepper_for", lambda network, moves, clip=None, *, kind=kind, **_: kind(network, moves, clip)
        )
        found[kind] = run(make_folder(kind.__name__, **changes)).found
    ours, theirs = found.values()
    assert ours.counts == theirs.counts
    assert ours.difference < 1e-5
    for name, tensor in ours.network.state_dict().items():
        torch.testing.assert_close(tensor, theirs.network.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_a_search_of_convolutions_takes_cycles_and_ends_with_the_same_bits_wherever_it_is_interrupted(
    make_folder, monkeypatch
):
    alone = []
    step = Cycle._step_alone
    monkeypatch.setattr(Cycle, "_step_alone", lambda self, *given: alone.append(1) or step(self, *given))
    straight = run(make_folder("straight", **SHORT))
    assert len(alone) > 30, "most of 42 steps are those of a cycle"
    folder, batches = make_folder("interrupted", **SHORT), iter(range(10**6))
    for stop in (1, 10, 13, 27):  # two of them before the last batch of an epoch
        with pytest.raises(Stopped):
            run(folder, stopping=lambda stop=stop: next(batches) >= stop)
    again = run(folder)
    assert again.found.counts == straight.found.counts
    for name, tensor in again.found.network.state_dict().items():
        assert torch.equal(tensor, straight.found.network.state_dict()[name])
