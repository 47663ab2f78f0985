"""A search over single kernels, the authors' form: what it is refused with, what it tells, and their experiment."""

import pytest
import torch

import datasets
from bench.published_convnet import prepared, run, specification
from bench.records import read
from linbreg import KernelGroupL1
from models.groups import weight_shares
from spec import SearchSpec, plan
from spec.base import SpecError
from worker.pipeline import Pipeline
from worker.progress import EpochDone
from worker.samples import Samples

SMALL = {"kind": "convnet", "channels": [6, 6], "kernel": 3, "hidden": [16]}
KERNELS = {"optimizer": "linbreg", "lr": 0.07, "lam": 0.1, "density": 0.3, "groups": "kernels"}
ASKED = {
    "superstructure": SMALL, "task": {"kind": "classify"}, "data": "digits", "method": KERNELS,
    "budget": {"epochs": 2, "batch_size": 64}, "finetune": {"epochs": 0}, "compare": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    return Samples(datasets.load("digits", None))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"superstructure": {"kind": "mlp", "widths": [8]}}, "an mlp has no kernels"),
        ({"target": {"fraction": 0.2}, "method": KERNELS | {"lam": None}}, "no size can be asked of them"),
        ({"method": KERNELS | {"selection": "swaps"}}, "is how a target for widths is reached"),
    ],
)
def test_single_kernels_are_of_convolutions_and_have_no_target(digits, changes, says):
    with pytest.raises(SpecError, match=says):
        plan(SearchSpec.model_validate(ASKED | changes), digits.shape, 2**40)


@pytest.mark.parametrize("optimizer", ["linbreg", "adabreg", "proxadam", "proxsgd"])
def test_every_epoch_of_a_search_over_kernels_tells_what_is_left(digits, make_folder, optimizer):
    method = KERNELS if optimizer == "linbreg" else {"optimizer": optimizer, "groups": "kernels", "lam": 0.01}
    folder = make_folder(**ASKED | {"method": method})
    said = []
    Pipeline(folder.read_job(), folder, digits, said.append, lambda: False).run()
    epochs = [each for each in said if isinstance(each, EpochDone)]
    assert len(epochs) == 2
    for epoch in epochs:
        assert epoch.lam == method["lam"]
        assert 0 < epoch.metrics["kernels"] <= 1
        assert 0 < epoch.metrics["linear weights"] <= 1


def test_the_authors_experiment_goes_on_where_it_was_left(digits, tmp_path):
    def asked(epochs):
        given = specification(epochs).model_dump(mode="json") | {"superstructure": SMALL, "data": "digits"}
        return SearchSpec.model_validate(given)

    torch.manual_seed(0)
    first = prepared(asked(2), digits)
    assert isinstance(first.optimizer.param_groups[0]["regularizer"], KernelGroupL1)
    assert weight_shares(first.network)["linear weights"] == pytest.approx(0.01, abs=0.01)
    run(asked(2), digits, tmp_path / "whole" / "out.jsonl")
    run(asked(1), digits, tmp_path / "torn" / "out.jsonl")
    run(asked(2), digits, tmp_path / "torn" / "out.jsonl")

    def told(where):
        return [{k: v for k, v in record.items() if k != "seconds"} for record in read(tmp_path / where / "out.jsonl")]

    whole, torn = told("whole"), told("torn")
    assert [record.get("epoch") for record in torn] == [1, None, 2, None]
    assert [torn[0], *torn[2:]] == whole
