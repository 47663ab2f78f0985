"""The trainer process: it can be killed, stopped and orphaned at any moment, and the result is the same."""

import json
import signal
import time
import zipfile

import pytest

from worker.trainer import STOPPED

from .conftest import lines, results, run, start

CASES = {
    "lam": {},
    # A size, two seeds, and every rival that there is.
    "target": {
        "target": {"fraction": 0.2},
        "seeds": [3, 4],
        "compare": ["linear", "flat", "scaled", "geometric", "random", "scratch"],
    },
    "skips": {
        "superstructure": {"kind": "mlp", "widths": [48] * 3, "skips": "searched"},
        "target": {"fraction": 0.2},
        "method": {"lr": 0.003, "skip_lam": 0.05},
        "compare": ["scratch"],
    },
}


@pytest.fixture(scope="module", params=CASES)
def undisturbed(request, tmp_path_factory):
    """The reference: one search that nobody disturbs, run once for this module."""
    from spec import SearchSpec
    from worker.job import Folder, Job

    from .conftest import SEARCH_ID, SPEC

    folder = Folder(tmp_path_factory.mktemp("undisturbed") / "1")
    spec = SearchSpec.model_validate({**SPEC, **CASES[request.param]})
    folder.create(Job(search_id=SEARCH_ID, created_at=1.7e9, spec=spec, threads=1, checkpoint_s=1e6))
    return folder, run(folder), CASES[request.param]


@pytest.mark.parametrize("undisturbed", ["lam"], indirect=True)
def test_a_search_tells_its_epochs_and_ends_with_a_smaller_network(undisturbed):
    folder, said, _ = undisturbed
    assert [m["kind"] for m in said[:3]] == ["started", "stage", "epoch"]
    epochs = [m for m in said if m["kind"] == "epoch"]
    begun = {m["stage"]: m["epochs"] for m in said if m["kind"] == "stage"}
    assert list(begun) == ["search", "finetune", "compare", "export"]
    assert [(m["stage"], m["epoch"]) for m in epochs] == [
        (stage, epoch) for stage, count in begun.items() for epoch in range(1, count + 1)
    ], "what a stage announces is what it does"
    assert begun["search"] == 6
    assert epochs[0]["parameters"] < epochs[5]["parameters"], "the network grows"
    result = said[-1]["result"]
    assert said[-1]["kind"] == "finished"
    assert result["shrunk"]["parameters"] < result["superstructure"]["parameters"]
    assert result["shrunk"]["validation"]["loss"] == pytest.approx(
        result["superstructure"]["validation"]["loss"], rel=1e-5
    )
    assert {c["name"] for c in result["candidates"]} == {"found", "linear", "flat", "scratch"}
    best = min(result["candidates"], key=lambda c: (not c["trained_in_full"], c["validation"]["loss"]))
    assert result["winner"] == best["name"]
    found = next(c for c in result["candidates"] if c["name"] == "found")
    assert found["validation"]["loss"] <= result["shrunk"]["validation"]["loss"], "training on never makes it worse"
    assert all(c["parameters"] <= found["parameters"] for c in result["candidates"]), "all are of equal size"
    assert result["comparison_epochs"] <= 2 * 9, "the comparison costs two trainings at most"
    with zipfile.ZipFile(folder.results / said[-1]["bundle"]) as archive:
        assert archive.testzip() is None
        names = {name.split("/", 1)[1] for name in archive.namelist()}
    assert names == {
        "README.md", "model.py", "model.safetensors", "model.onnx", "architecture.json", "preprocessing.json",
        "spec.json", "history.json", "metrics.json", "samples.safetensors", "architecture.svg", "LICENSE",
        "manifest.json",
    }  # fmt: skip


def test_killed_at_random_moments_it_ends_with_the_same_bytes(undisturbed, make_folder):
    """Every file of the bundle, the zip included: so the same search built twice is the same bytes too."""
    reference, _, changes = undisturbed
    folder = make_folder(checkpoint_s=0.0, **changes)  # a checkpoint after every batch
    deaths = 0
    for after in (2, 9, 30, 4, 60, 120):
        process = start(folder)
        for count, _ in enumerate(lines(process)):
            if count == after:
                process.send_signal(signal.SIGKILL)
                deaths += 1
                break
        process.wait()
    said = run(folder)
    assert deaths >= 4
    assert said[0]["resumed"] is not None
    assert results(folder) == results(reference)


def test_asked_to_stop_it_leaves_a_checkpoint_in_the_middle_of_an_epoch(undisturbed, make_folder):
    reference, _, changes = undisturbed
    folder = make_folder(**changes)
    process = start(folder)
    said = lines(process)
    while next(said)["kind"] != "epoch":
        pass  # until the first epoch is done
    process.send_signal(signal.SIGTERM)
    rest = list(said)
    assert process.wait() == STOPPED
    assert rest[-1]["kind"] == "checkpoint"
    run(folder)
    assert results(folder) == results(reference)


def test_it_ends_when_its_worker_is_gone(make_folder):
    process = start(make_folder(budget={"epochs": 100_000, "batch_size": 64}))
    next(lines(process))
    assert process.stdin is not None
    process.stdin.close()
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() == 1


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(undisturbed, make_folder):
    reference, _, changes = undisturbed
    folder = make_folder(checkpoint_s=0.0, **changes)
    process = start(folder)
    for message in lines(process):
        if message["kind"] == "epoch" and message["epoch"] == 4:
            process.kill()
            break
    process.wait()
    newest = folder.checkpoints / "checkpoint.safetensors"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    said = run(folder)
    assert said[0]["resumed"][0] == "search"
    assert results(folder) == results(reference)


@pytest.mark.parametrize(
    ("changes", "code", "advice"),
    [
        ({"method": {"lr": 100.0, "optimizer": "linbreg", "lam": 0.0}}, "loss_not_finite", "method.lr"),
        # One step in all: no training loss ever sees what it did.
        (
            {
                "superstructure": {"kind": "mlp", "widths": [64] * 40, "activation": "relu"},
                "method": {"optimizer": "linbreg", "lr": 100.0, "lam": 0.0, "density": 1.0},
                "budget": {"epochs": 1, "batch_size": 65_536},
            },
            "loss_not_finite",
            "method.lr",
        ),
        ({"method": {"optimizer": "proxsgd", "lam": 50.0}}, "layer_died", "method.lam"),
        ({"budget": {"epochs": 10_000, "batch_size": 64, "time_limit_s": 1}}, "time_limit", "time_limit_s"),
        ({"data": "mnist"}, "data_unavailable", "BREGNAS_DATA"),
    ],
)
def test_a_search_that_cannot_succeed_fails_with_a_code_and_advice(make_folder, changes, code, advice):
    folder = make_folder(**changes)
    said = run(folder)
    assert said[-1]["kind"] == "failed"
    assert said[-1]["code"] == code
    assert advice in said[-1]["message"]
    assert results(folder) == {}, "never an empty file as a success"


def test_data_or_a_version_that_changed_under_a_checkpoint_is_refused(make_folder):
    from worker import checkpoint

    folder = make_folder(compare=[], finetune={"epochs": 0})
    run(folder)
    tensors, values = checkpoint.load(folder.checkpoints)
    checkpoint.save(folder.checkpoints, tensors, {**values, "format": values["format"] + 1})
    said = run(folder)
    assert said[-1]["code"] == "other_version"
    checkpoint.save(folder.checkpoints, tensors, values)
    job = json.loads(folder.job.read_bytes())
    job["spec"]["data"] = "mnist-5k"
    folder.job.write_text(json.dumps(job))
    said = run(folder)
    assert said[-1]["code"] == "data_changed"
