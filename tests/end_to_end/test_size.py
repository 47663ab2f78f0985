"""A size asked for over HTTP: the network of that size, its rivals, and its path, on which others go on."""

import io
import json
import subprocess
import sys
import zipfile

import pytest

pytestmark = pytest.mark.trains

LIMIT = 3000
ASKED = {
    "target": {"parameters": LIMIT},
    "method": {"lr": 0.003},
    "compare": ["linear", "flat", "scratch"],
    "seed": 0,
    "seeds": [1, 2],
    "budget": {"epochs": 8, "batch_size": 32},
}


@pytest.fixture(scope="module")
def succeeded(service):
    search = service.post(**ASKED)
    over = service.wait_over(search["id"])
    assert over["status"] == "succeeded", over["error"]
    return over


def unpacked(service, search_id, folder, **asked):
    """The folder of a bundle that was downloaded and unpacked."""
    answer = service.client.get(f"/v1/searches/{search_id}/model", params=asked).raise_for_status()
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        bundle.extractall(folder)
    (inside,) = folder.iterdir()
    return inside


def test_the_estimate_says_what_is_possible_and_what_is_not_is_refused_with_it(service):
    asked = {"superstructure": {"kind": "mlp", "widths": [48, 40, 48]}, "task": {"kind": "denoise"}, "data": "digits"}
    estimate = service.client.post("/v1/searches/estimate", json={**asked, "target": {"fraction": 0.5}}).json()
    smallest, largest = estimate["possible"]["parameters"].values()
    assert estimate["target"] == largest // 2
    for measure, limits in estimate["possible"].items():
        accepted = service.client.post("/v1/searches/estimate", json={**asked, "target": {measure: limits["smallest"]}})
        assert accepted.status_code == 200
        refused = service.client.post("/v1/searches", json={**asked, "target": {measure: limits["smallest"] - 1}})
        assert refused.status_code == 422
        assert f"from {limits['smallest']:,} to {limits['largest']:,} {measure}" in refused.text
    assert smallest < LIMIT < largest


def test_no_network_is_larger_than_what_was_asked_for_and_the_best_is_delivered(service, succeeded):
    result = succeeded["result"]
    assert result["target"]["limit"] == LIMIT
    assert 0.98 * LIMIT <= result["target"]["reached"] <= LIMIT
    candidates = {candidate["name"]: candidate for candidate in result["candidates"]}
    assert set(candidates) == {"found", "linear", "flat", "scratch"}
    assert all(seed["parameters"] <= LIMIT for one in candidates.values() for seed in one["seeds"])
    assert [seed["seed"] for seed in candidates["found"]["seeds"]] == [1, 2]
    assert candidates["found"]["spread"] > 0
    ranked = sorted(candidates.values(), key=lambda one: (not one["trained_in_full"], one["validation"]["loss"]))
    assert [result["winner"], result["second"]] == [ranked[0]["name"], ranked[1]["name"]]
    assert all(one["latency_ms"] > 0 for one in candidates.values())


def test_the_bundle_of_every_candidate_runs_alone(service, succeeded, tmp_path):
    for candidate in succeeded["result"]["candidates"]:
        folder = unpacked(service, succeeded["id"], tmp_path / candidate["name"], candidate=candidate["name"])
        replay = subprocess.run([sys.executable, "model.py"], cwd=folder, capture_output=True, text=True, check=False)
        assert replay.returncode == 0, replay.stderr
        assert json.loads((folder / "architecture.json").read_text())["parameters"] == candidate["parameters"]
        assert json.loads((folder / "manifest.json").read_text())["candidate"] == candidate["name"]
        assert "**(this one)**" in (folder / "README.md").read_text()


def test_an_architecture_of_the_path_is_trained_on_as_a_search_of_its_own(service, succeeded, tmp_path):
    url = f"/v1/searches/{succeeded['id']}/path"
    path = service.client.get(url).json()["data"]
    sizes = [entry["parameters"] for entry in path]
    assert len(path) >= 2
    assert sizes == sorted(sizes)
    assert sizes[-1] == succeeded["result"]["target"]["reached"]
    made = service.client.post(f"{url}/0", json={"finetune": {"epochs": 2}, "compare": ["linear"], "seeds": [1]})
    assert made.status_code == 202, made.text
    over = service.wait_over(made.json()["id"])
    assert over["status"] == "succeeded", over["error"]
    assert list(over["result"]["widths"].values()) == path[0]["widths"]
    found = next(one for one in over["result"]["candidates"] if one["name"] == "found")
    assert found["parameters"] == sizes[0]
    assert over["result"]["shrunk"]["validation"]["loss"] == pytest.approx(path[0]["validation"]["loss"], rel=1e-4)
    assert found["validation"]["loss"] < path[0]["validation"]["loss"], "it was trained on"
    card = (unpacked(service, over["id"], tmp_path, candidate="found") / "README.md").read_text()
    assert f"in which the search {succeeded['id']} met the widths" in card
    assert "superstructure after the search" not in card
    again = service.client.post(f"/v1/searches/{over['id']}/path/0")
    assert (again.status_code, again.json()["code"]) == (409, "no_path")


def test_where_the_start_is_deleted_before_its_turn_the_search_says_so(service, succeeded):
    first = service.wait_over(service.post(**{**ASKED, "seeds": [1], "compare": [], "finetune": {"epochs": 0}})["id"])
    busy = service.post(budget={"epochs": 100_000, "batch_size": 32})
    service.wait(busy["id"], lambda search: search["status"] == "running")
    waiting = service.client.post(f"/v1/searches/{first['id']}/path/0").json()
    assert service.client.delete(f"/v1/searches/{first['id']}").is_success
    service.client.post(f"/v1/searches/{busy['id']}/cancel")
    over = service.wait_over(waiting["id"])
    assert (over["status"], over["error"]["code"]) == ("failed", "start_unavailable")
