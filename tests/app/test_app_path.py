"""The path of a search, what may begin on it, and the downloads of the candidates beside the winner."""

import pytest

from store.attempts import Attempt, NewArtifact

pytestmark = pytest.mark.anyio

PATH = [
    {"k": k, "epoch": k + 1, "widths": [4 + k, 2], "parameters": 100 * (k + 1), "macs": 90, "validation": {"loss": 0.1}}
    for k in range(2)
]
UNKNOWN = "srch_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"


@pytest.fixture
def finish(service):
    """Publish a search as a worker does: two candidates, and as many architectures as there are on `path`."""

    def publish(search_id, path=PATH):
        attempt = Attempt(service.engine, search_id, 1)
        attempt.start("wrkr_test")
        attempt.running()
        names = ["net.zip", "candidate-flat.zip", *(f"path-{entry['k']}.safetensors" for entry in path)]
        stored = [(name, service.artifacts.put(search_id, 1, name.encode())) for name in names]
        candidates = [{"name": name, "widths": [8, 4]} for name in ("found", "flat")]
        assert attempt.publish(
            {"winner": "found", "candidates": candidates, "path": path},
            [NewArtifact(name, artifact, "application/octet-stream") for name, artifact in stored],
            bundle="net.zip",
        )

    return publish


@pytest.fixture
async def begun(client, body):
    """A search that is queued."""
    answered = await client.post("/v1/searches", json=body)
    assert answered.status_code == 202, answered.text
    return answered.json()


@pytest.fixture
async def succeeded(begun, finish):
    """A search that has a path."""
    finish(begun["id"])
    return begun


async def test_the_path_is_empty_until_the_search_has_succeeded(client, begun, finish):
    url = f"/v1/searches/{begun['id']}/path"
    empty = (await client.get(url)).json()
    early = await client.post(f"{url}/0")
    finish(begun["id"])
    listed = (await client.get(url)).json()

    assert (empty["data"], empty["first_id"], empty["has_more"]) == ([], None, False)
    assert (early.status_code, early.json()["code"]) == (409, "no_path")
    assert "wait until it has succeeded" in early.json()["detail"]
    assert listed["data"] == [{**entry, "object": "path_entry"} for entry in PATH]
    assert (listed["first_id"], listed["last_id"]) == (0, 1)
    assert (await client.get(f"/v1/searches/{UNKNOWN}/path")).status_code == 404


async def test_what_has_ended_without_a_path_is_not_to_be_waited_for(client, body, begun, finish):
    finish(begun["id"], path=[])
    cancelled = (await client.post("/v1/searches", json=body)).json()["id"]
    await client.post(f"/v1/searches/{cancelled}/cancel")

    for search_id, state in ((begun["id"], "succeeded"), (cancelled, "cancelled")):
        answered = await client.post(f"/v1/searches/{search_id}/path/0")
        assert (answered.status_code, answered.json()["code"]) == (409, "no_path")
        assert state in answered.json()["detail"]
        assert "only a search of widths" in answered.json()["detail"]


async def test_a_control_is_left_behind_with_the_target(client, body, finish):
    of_photos = {"data": "photos", "budget": {"crop": 40}, "superstructure": {"kind": "unet", "levels": 2, "base": 4}}
    asked = {**body, **of_photos, "method": {"lr": 0.002}, "compare": ["flat", "control"]}
    begun = (await client.post("/v1/searches", json=asked)).json()
    finish(begun["id"])
    url = f"/v1/searches/{begun['id']}/path/0"

    made = await client.post(url)
    named = await client.post(url, json={"compare": ["control"]})

    assert made.status_code == 202, made.text
    assert made.json()["spec"]["compare"] == ["flat"]
    assert named.status_code == 422, "who names it is told"


async def test_how_a_target_was_reached_is_left_behind_with_the_target(client, body, finish):
    asked = {**body, "target": {"fraction": 0.5}, "method": {"selection": "admission"}}
    begun = (await client.post("/v1/searches", json=asked)).json()
    finish(begun["id"])

    made = await client.post(f"/v1/searches/{begun['id']}/path/1")

    assert made.status_code == 202, made.text
    assert made.json()["spec"]["target"] is None
    assert made.json()["spec"]["method"] == {**begun["spec"]["method"], "selection": None}


@pytest.mark.parametrize(
    ("k", "status", "words"), [("2", 404, "0 to 1"), ("-1", 422, "0"), ("1000", 422, "999"), ("x", 422, "integer")]
)
async def test_an_architecture_that_is_not_on_the_path_is_refused(client, succeeded, k, status, words):
    answered = await client.post(f"/v1/searches/{succeeded['id']}/path/{k}")

    assert answered.status_code == status
    assert words in answered.text


async def test_an_architecture_of_the_path_is_trained_on_as_a_search_of_its_own(client, succeeded):
    url = f"/v1/searches/{succeeded['id']}/path/1"
    headers = {"Idempotency-Key": "once"}
    made = await client.post(url, json={"finetune": {"epochs": 2}, "seeds": [1, 2]}, headers=headers)
    again = await client.post(url, json={"finetune": {"epochs": 2}, "seeds": [1, 2]}, headers=headers)
    other = await client.post(f"/v1/searches/{succeeded['id']}/path/0", json={"seed": 2}, headers=headers)
    spec = made.json()["spec"]
    cloned = await client.post(f"/v1/searches/{made.json()['id']}/clone", json={"name": "again"})

    assert made.status_code == 202, made.text
    assert made.headers["location"] == f"/v1/searches/{made.json()['id']}"
    assert (spec["target"], spec["start"]) == (None, {"search": succeeded["id"], "k": 1})
    assert (spec["finetune"]["epochs"], spec["seeds"]) == (2, [1, 2])
    assert spec["superstructure"] == succeeded["spec"]["superstructure"]
    assert again.json()["id"] == made.json()["id"], "sent twice, made once"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert cloned.json()["spec"]["start"] == spec["start"]


@pytest.mark.parametrize(
    ("changes", "loc", "words"),
    [
        ({"target": {"parameters": 3000}}, ["target"], "the size of its start"),
        ({"data": "mnist-5k"}, ["data"], "must be that of"),
        ({"task": {"kind": "autoencode"}}, ["task"], "must be that of"),
        ({"superstructure": {"kind": "mlp", "widths": [32, 8]}}, ["superstructure"], "must be that of"),
        ({"start": {"search": UNKNOWN, "k": 0}}, ["start"], "there is no architecture 0"),
        ({"finetune": {"epochs": -1}}, ["finetune", "epochs"], "greater than or equal to 0"),
        ({"fintune": {}}, ["fintune"], "unknown field"),
    ],
)
async def test_a_start_goes_with_its_own_superstructure_task_and_data(client, succeeded, changes, loc, words):
    answered = await client.post(f"/v1/searches/{succeeded['id']}/path/1", json=changes)

    assert answered.status_code == 422
    (error,) = answered.json()["errors"]
    assert error["loc"] == loc
    assert words in error["msg"]
    assert len((await client.get("/v1/searches")).json()["data"]) == 1, "what is refused queues nothing"


async def test_a_start_that_is_not_there_is_refused(client, body, succeeded):
    path_of = dict.fromkeys(("k", "deleted"), succeeded["id"]) | {"unknown": UNKNOWN, "form": "srch_1"}
    body = {key: value for key, value in body.items() if key != "target"}

    async def asked(key, k=0):
        answered = await client.post("/v1/searches", json={**body, "start": {"search": path_of[key], "k": k}})
        return answered.status_code, answered.text

    assert (await asked("k", 1))[0] == 202, "a start may be posted as it stands in `spec`"
    for key, k in (("k", 2), ("unknown", 0)):
        status, text = await asked(key, k)
        assert status == 422
        assert f"there is no architecture {k} of that search" in text
    assert (await asked("form"))[0] == (await asked("k", -1))[0] == (await asked("k", 1000))[0] == 422
    await client.delete(f"/v1/searches/{succeeded['id']}")
    assert (await asked("deleted"))[0] == 422


async def test_another_candidate_than_the_winner_is_downloaded_by_its_name(client, begun, finish):
    url = f"/v1/searches/{begun['id']}/model"
    early = await client.get(url, params={"candidate": "flat"})
    finish(begun["id"])
    winner, found, flat = [
        await client.get(url, params=asked) for asked in ({}, {"candidate": "found"}, {"candidate": "flat"})
    ]
    unknown = await client.get(url, params={"candidate": "scaled"})
    malformed = await client.get(url, params={"candidate": "../flat"})

    assert (early.status_code, early.json()["code"]) == (409, "no_model")
    assert (winner.content, found.content, flat.content) == (b"net.zip", b"net.zip", b"candidate-flat.zip")
    assert flat.headers["content-disposition"] == 'attachment; filename="candidate-flat.zip"'
    assert unknown.status_code == 404
    assert "found, flat" in unknown.json()["detail"]
    assert malformed.status_code == 422
