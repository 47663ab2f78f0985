"""Searches from end to end in this process: what ends them, what begins them, and what every method leaves."""

import itertools
import math

import pytest
import torch

import datasets
from models import source
from models.groups import connections
from spec import SearchSpec, parameters
from worker import path, results
from worker.failure import SearchFailed
from worker.job import Folder, Job
from worker.pipeline import Pipeline
from worker.progress import EpochDone
from worker.samples import Samples

from .conftest import SEARCH_ID, SPEC

SHORT = {"compare": [], "finetune": {"epochs": 0}}
START = {"search": "srch_" + "0" * 32, "k": 1}


@pytest.fixture(scope="module")
def digits():
    return Samples(datasets.load("digits", None))


@pytest.fixture
def search(digits, make_folder):
    """Run a specification that is short where nothing else is said: outcome and epochs; `begin` is a snapshot."""

    def run(begin=None, **changes):
        start = {} if begin is None else {"start": START}
        folder = make_folder(name=f"{next(numbers)}", **{**SHORT, **start, **changes})
        if begin is not None:
            (folder.path / "start.safetensors").write_bytes(path.to_bytes(begin))
        said = []
        outcome = Pipeline(folder.read_job(), folder, digits, said.append, lambda: False).run()
        return outcome, [message for message in said if isinstance(message, EpochDone)]

    numbers = itertools.count()
    return run


def test_a_search_ends_with_the_first_epoch_at_the_noise_level(search):
    target = {"target": {"fraction": 0.5}, "seeds": [3, 4]}
    _, whole = search(**target)
    losses = [epoch.train_loss for epoch in whole if epoch.seed == 3]
    assert losses[2] < min(losses[:2])
    level = math.sqrt(losses[2]) * 1.0001
    outcome, told = search(**target, budget={"epochs": 6, "batch_size": 64, "noise_level": level})
    assert [epoch.train_loss for epoch in told if epoch.seed == 3] == losses[:3]
    second = [epoch.train_loss for epoch in told if epoch.seed == 4]
    assert second[-1] <= level**2 < min(second[:-1]), "each seed ends for itself"
    assert ["it ended at the noise level" in note for note in outcome.notes] == [True, True]


def test_a_checkpoint_holds_what_was_found_and_the_same_on_its_path(search, monkeypatch):
    """The end of a search is kept twice where it is the best of its size, and no tensor may be stored twice."""
    meet = path.Path.meet

    def at_the_end_alone(self, size, shrunk, *rest):
        if not hasattr(shrunk, "__self__"):  # what the loop hands over is a method of the stepper
            meet(self, size, shrunk, *rest)

    monkeypatch.setattr(path.Path, "meet", at_the_end_alone)
    outcome, _ = search()
    (snapshot,) = outcome.path
    assert snapshot.counts == outcome.found.counts
    found, kept = (network.state_dict().values() for network in (outcome.found.network, snapshot.network))
    assert not {tensor.data_ptr() for tensor in found} & {tensor.data_ptr() for tensor in kept}


def test_at_the_noise_level_from_the_beginning_a_search_of_depth_still_ends_with_a_plain_network(search):
    depth = {"method": {"depth": "searched"}, "target": {"parameters": 3000}}
    outcome, told = search(**depth, budget={"epochs": 8, "batch_size": 64, "noise_level": 100.0})
    assert 1 < len(told) < 8
    assert 0.96 * 3000 < parameters(outcome.winner.best.network.graph) <= 3000
    assert 0 < told[-1].share <= 3000 / parameters(outcome.full)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": {"neurons": 135}}, None),
        (
            {"target": {"parameters": 220}, "superstructure": {"kind": "mlp", "widths": [48]}},
            "a neuron more in any layer would exceed them",
        ),
        (
            {
                "target": {"parameters": 610},  # three neurons in each layer take 475, four 620
                "superstructure": {"kind": "mlp", "widths": [48] * 3, "skips": "searched"},
            },
            "a neuron more in any layer would exceed them",
        ),
        ({"target": {"parameters": 250}, "method": {"depth": "searched"}}, "a neuron more in any layer would exceed"),
        ({"target": {"parameters": 6000}, "method": {"lr": 1e-9}}, None),
    ],
)
def test_a_size_more_than_two_per_cent_below_the_target_has_its_reason(search, changes, words):
    outcome, _ = search(**changes, budget={"epochs": 1, "batch_size": 512})
    assert [words in note for note in outcome.notes] == ([] if words is None else [True]), outcome.notes


def test_a_search_of_depth_may_have_a_single_step(search):
    depth = {"method": {"depth": "searched"}, "target": {"parameters": 3000}}
    outcome, told = search(**depth, budget={"epochs": 1, "batch_size": 65_536})
    assert len(told) == 1
    assert math.isfinite(outcome.winner.loss)


def test_lasso_finds_no_zeros_until_it_cuts(search):
    lasso = {"optimizer": "lasso", "lam": 1e-4, "lr": 0.003}
    kept, told = search(method={**lasso, "cut": 0.0})
    assert kept.found.counts == {"hidden1": 48, "hidden2": 40, "hidden3": 48}
    assert told[-1].counts == kept.found.counts
    cut, _ = search(method={**lasso, "cut": 0.05})
    assert all(0 < cut.found.counts[layer] < kept.found.counts[layer] for layer in kept.found.counts)
    assert cut.found.shrunk.loss == pytest.approx(cut.found.superstructure.loss, rel=1e-5)
    with pytest.raises(SearchFailed, match=r"make method.cut smaller \(it is 10\)"):
        search(method={**lasso, "cut": 10.0})


@pytest.mark.parametrize(("shape", "middle"), [("linear", 0.00505), ("geometric", 0.001), ("cosine", 0.00505)])
def test_a_scheduled_lambda_goes_from_the_first_to_the_last(search, shape, middle):
    method = {"optimizer": "proxadam", "lam": 1e-4, "lam_schedule": {"end": 0.01, "shape": shape}}
    _, told = search(method=method)
    lams = [epoch.lam for epoch in told]
    assert lams == sorted(lams)
    assert lams[2] == pytest.approx(middle, rel=0.05)
    assert lams[-1] == pytest.approx(0.01)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_without_a_regulariser_nothing_sleeps(search, optimizer):
    outcome, told = search(method={"optimizer": optimizer})
    assert outcome.found.counts == {"hidden1": 48, "hidden2": 40, "hidden3": 48}
    assert {epoch.share for epoch in told} == {1.0}
    assert told[-1].train_loss < told[0].train_loss


def test_an_architecture_of_the_path_is_trained_on_with_every_seed(search, digits):
    first, _ = search()
    snapshot = first.path[1]
    outcome, told = search(begin=snapshot, finetune={"epochs": 2}, seeds=[1, 2], compare=["linear", "scratch"])
    assert "search" not in {epoch.stage for epoch in told}, "it begins where the other was"
    assert outcome.found.counts == snapshot.counts
    assert outcome.found.shrunk.loss == pytest.approx(snapshot.validation.loss, rel=0.1), "the noise is another seed's"
    found = next(one for one in outcome.contenders if one.name == "found")
    assert [one.seed for one in found.candidates] == [1, 2]
    assert found.loss < snapshot.validation.loss
    assert outcome.path == []
    limit = parameters(snapshot.network.graph)
    assert all(parameters(one.best.network.graph) <= limit for one in outcome.contenders)


SKIPS = {
    "superstructure": {"kind": "mlp", "widths": [48] * 4, "skips": "searched"},
    "task": {"kind": "autoencode"},
    "target": {"parameters": 6000},
    "method": {"lr": 0.003, "skip_lam": 0.05},
}


@pytest.fixture(scope="module")
def with_skips(digits, tmp_path_factory):
    """A search with skips, by both Bregman methods: what was asked, its outcome and its epochs."""

    def run(optimizer):
        spec = SearchSpec.model_validate(
            {**SPEC, **SKIPS, "method": {**SKIPS["method"], **optimizer}, "compare": ["linear", "flat", "scratch"]}
        )
        folder = Folder(tmp_path_factory.mktemp("skips"))
        folder.create(Job(search_id=SEARCH_ID, created_at=1.7e9, spec=spec, threads=1, checkpoint_s=1e6))
        said = []
        outcome = Pipeline(folder.read_job(), folder, digits, said.append, lambda: False).run()
        return spec, outcome, [message for message in said if isinstance(message, EpochDone)]

    return {name: run(optimizer) for name, optimizer in OPTIMIZERS.items()}


OPTIMIZERS = {"adabreg": {}, "linbreg": {"optimizer": "linbreg", "lr": 0.1}}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_skips_are_found_epoch_by_epoch_and_those_at_zero_are_gone(with_skips, optimizer):
    spec, outcome, told = with_skips[optimizer]
    found = outcome.found
    skips = results.result(spec, outcome, "mse")["skips"]
    counts = [epoch.metrics["skips"] for epoch in told if epoch.stage == "search"]
    assert len(counts) == 6
    assert 0 < len(skips) == counts[-1] == sum(len(scalars) for scalars in found.network.scalars.values())
    assert all(skip["from"] < skip["to"] and skip["value"] != 0 for skip in skips)
    assert len(set(found.counts.values())) == 1
    assert found.difference < 1e-5
    assert found.shrunk.loss == pytest.approx(found.superstructure.loss, rel=1e-5)
    sizes = [epoch.parameters for epoch in told if epoch.stage == "search"]
    assert sizes[-1] == parameters(found.network.graph) <= 6000
    assert max(sizes) <= 6000
    text = source.source(found.network, "t")
    assert all(f"{node.name}_scalars[{node.scalars - 1}] *" in text for node in found.network.graph.sums())


def test_rivals_have_no_skips_and_scratch_has_those_that_were_found(with_skips):
    _, outcome, _ = with_skips["adabreg"]
    networks = {one.name: one.best.network for one in outcome.contenders}
    assert set(networks) == {"found", "linear", "flat", "scratch"}
    assert networks["scratch"].graph == networks["found"].graph == outcome.found.network.graph
    assert not any([*networks["flat"].graph.sums(), *networks["linear"].graph.sums()])
    scalars = {name: torch.cat([*networks[name].scalars.values()]) for name in ("found", "scratch")}
    assert not torch.allclose(scalars["found"], scalars["scratch"], atol=1e-3)
    assert bool((scalars["scratch"] != 0).all()), "they are trained too"


def test_an_architecture_of_a_path_keeps_the_skips_that_it_had(search, with_skips):
    _, outcome, _ = with_skips["adabreg"]
    snapshot = outcome.path[-1]
    again, _ = search(begin=snapshot, **{**SKIPS, "target": None})
    assert again.found.network.graph == snapshot.network.graph
    assert connections(again.found.network) == connections(snapshot.network) != []
    assert again.found.shrunk.loss == pytest.approx(snapshot.validation.loss, rel=1e-5)


def test_where_the_start_is_gone_the_search_says_so(search):
    with pytest.raises(SearchFailed, match="was deleted") as raised:
        search(start=START)
    assert raised.value.code == "start_unavailable"
