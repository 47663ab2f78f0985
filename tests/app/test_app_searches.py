"""The life of a search, as a caller sees it."""

import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from store.database import read

pytestmark = pytest.mark.anyio

ID = re.compile(r"srch_[0-9a-f]{32}")


async def test_a_search_is_accepted_with_every_default_written_out(client, body):
    answered = await client.post("/v1/searches", json=body)

    search = answered.json()
    assert answered.status_code == 202
    assert ID.fullmatch(search["id"])
    assert answered.headers["location"] == f"/v1/searches/{search['id']}"
    assert (search["object"], search["status"], search["attempt"]) == ("search", "queued", 1)
    assert search["spec"]["superstructure"]["bias"] == "grouped"
    defaults = {"noise_level": None, "crop": None, "crops_per_image": None, "precision": "float32"}
    assert search["spec"]["budget"] == {**body["budget"], **defaults}
    assert search["layers"] == [
        {"name": "hidden1", "width": 32, "active": None},
        {"name": "hidden2", "width": 16, "active": None},
        {"name": "head", "width": 64, "active": None},
    ]
    assert search["parameters"] == 65 * 32 + 33 * 16 + 17 * 64
    assert search["progress"] == {"stage": None, "epoch": None, "epochs": 30, "eta_s": None}
    assert search["error"] is None
    assert search["started_at"] is None
    assert search["created_at"].endswith("Z")
    assert datetime.fromisoformat(search["created_at"]).utcoffset() == timedelta(0)


async def test_only_three_fields_are_required(client):
    smallest = {"superstructure": {"kind": "mlp", "widths": [8]}, "task": {"kind": "classify"}, "data": "digits"}

    answered = await client.post("/v1/searches", json=smallest)

    assert answered.status_code == 202
    assert answered.json()["layers"][-1]["width"] == 10  # the classes of the data


async def test_a_poll_shows_what_the_worker_writes_and_costs_nothing_where_nothing_changed(client, body, work):
    posted = await client.post("/v1/searches", json=body)
    url = posted.headers["location"]
    unchanged = await client.get(url, headers={"If-None-Match": posted.headers["etag"]})
    work(posted.json()["id"])

    changed = await client.get(url, headers={"If-None-Match": f'"other", W/{posted.headers["etag"]}'})

    assert unchanged.status_code == 304
    assert unchanged.content == b""
    assert unchanged.headers["etag"] == posted.headers["etag"]
    assert changed.status_code == 200
    assert changed.headers["etag"] != posted.headers["etag"]
    search = changed.json()
    assert search["status"] == "running"
    assert search["progress"] == {"stage": "search", "epoch": 2, "epochs": 30, "eta_s": None}
    assert [layer["active"] for layer in search["layers"]] == [8, 4, 64]
    assert search["losses"] == {"train": 0.5, "validation": None}
    assert (await client.get(url, headers={"If-None-Match": changed.headers["etag"]})).status_code == 304
    assert (await client.get(url, headers={"If-None-Match": "*"})).status_code == 304


async def test_the_history_stands_column_by_column(client, body, work):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    work(search_id, epochs=3)

    answered = await client.get(f"/v1/searches/{search_id}/layers")

    history = answered.json()
    assert history["epochs"] == [1, 2, 3]
    assert history["stages"] == ["search"] * 3
    assert history["train_loss"] == pytest.approx([1, 1 / 2, 1 / 3])
    assert [layer["active"] for layer in history["layers"]] == [[9, 8, 7], [5, 4, 3], [64, 64, 64]]
    assert [layer["searched"] for layer in history["layers"]] == [True, True, False]
    again = await client.get(f"/v1/searches/{search_id}/layers", headers={"If-None-Match": answered.headers["etag"]})
    assert again.status_code == 304


async def test_a_list_is_paged_from_the_newest_and_meets_each_search_once(client, body):
    made = [(await client.post("/v1/searches", json=body)).json()["id"] for _ in range(5)]

    met, url = [], "/v1/searches?limit=2"
    while True:
        page = (await client.get(url)).json()
        ids = [search["id"] for search in page["data"]]
        assert (page["object"], page["first_id"], page["last_id"]) == ("list", ids[0], ids[-1])
        met += ids
        if not page["has_more"]:
            break
        await client.post("/v1/searches", json=body)  # others go on posting
        url = f"/v1/searches?limit=2&after={page['last_id']}"

    assert met == made[::-1]


async def test_a_list_is_filtered_by_status_and_metadata(client, body):
    async def post(**metadata):
        return (await client.post("/v1/searches", json={**body, "metadata": metadata})).json()["id"]

    wanted, other = await post(project="x", owner="a b&c"), await post(project="y")
    await client.post(f"/v1/searches/{other}/cancel")

    async def found(**parameters):
        return [s["id"] for s in (await client.get("/v1/searches", params=parameters)).json()["data"]]

    assert await found(**{"metadata[project]": "x"}) == [wanted]
    assert await found(**{"metadata[project]": "x", "metadata[owner]": "a b&c"}) == [wanted]
    assert await found(**{"metadata[project]": "x", "metadata[owner]": "nobody"}) == []
    assert await found(status="cancelled") == [other]
    assert await found(status="queued", **{"metadata[project]": "y"}) == []
    empty = (await client.get("/v1/searches?status=failed")).json()
    assert empty == {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}


async def test_a_queued_search_is_cancelled_at_once_and_again_without_harm(client, body):
    url = (await client.post("/v1/searches", json=body)).headers["location"]

    first = await client.post(f"{url}/cancel")
    second = await client.post(f"{url}/cancel")

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert first.json()["status"] == "cancelled"
    assert first.json()["finished_at"] is not None


async def test_a_running_search_is_being_cancelled_until_its_worker_has_ended(client, body, work):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    attempt = work(search_id)

    wished = await client.post(f"/v1/searches/{search_id}/cancel")
    kept = await client.delete(f"/v1/searches/{search_id}")
    attempt.cancelled()
    done = await client.get(f"/v1/searches/{search_id}")

    assert wished.json()["status"] == "cancelling"
    assert kept.status_code == 409
    assert "cancelling" in kept.json()["detail"]
    assert done.json()["status"] == "cancelled"


async def test_what_has_ended_cannot_be_cancelled(client, body, work, publish):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    publish(work(search_id), b"zip")

    refused = await client.post(f"/v1/searches/{search_id}/cancel")

    assert refused.status_code == 409
    assert (refused.json()["code"], "succeeded" in refused.json()["detail"]) == ("illegal_state", True)


async def test_a_failed_search_says_why(client, body, work):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    work(search_id).fail("layer_died", "hidden1 has no neuron left; make method.lam smaller")

    search = (await client.get(f"/v1/searches/{search_id}")).json()
    model = await client.get(f"/v1/searches/{search_id}/model")

    assert search["status"] == "failed"
    assert search["error"] == {"code": "layer_died", "message": "hidden1 has no neuron left; make method.lam smaller"}
    assert model.status_code == 409
    assert "failed (layer_died: hidden1" in model.json()["detail"]


async def test_a_deleted_search_takes_its_files_along(client, body, work, publish, settings):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    publish(work(search_id), b"zip")
    folder = settings.store.home / "artifacts"
    assert [path for path in folder.rglob("*") if path.is_file()]

    deleted = await client.delete(f"/v1/searches/{search_id}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert not [path for path in folder.rglob("*") if path.is_file()]
    for path in ("", "/layers", "/events", "/artifacts", "/model"):
        assert (await client.get(f"/v1/searches/{search_id}{path}")).status_code == 404
    assert (await client.delete(f"/v1/searches/{search_id}")).status_code == 404


async def test_an_estimate_queues_nothing(client, body, service):
    answered = await client.post("/v1/searches/estimate", json=body)

    estimate = answered.json()
    assert answered.status_code == 200
    assert estimate["parameters"] == 65 * 32 + 33 * 16 + 17 * 64
    assert estimate["possible"]["parameters"] == {"smallest": 65 + 2 + 2 * 64, "largest": estimate["parameters"]}
    assert estimate["macs"] == 64 * 32 + 32 * 16 + 16 * 64
    assert estimate["epochs"] == {"search": 30, "finetune": 10, "compare": 80, "seeds": 1}
    head = {"name": "head", "width": 64, "searched": False, "stride": 1, "reads": ["hidden2"]}
    assert estimate["layers"][-1] == head
    assert 0 < estimate["memory_bytes"] < estimate["memory_limit_bytes"]
    assert estimate["seconds_guess"] > 0
    with read(service.engine) as tx:
        assert tx.scalar(text("SELECT count(*) FROM searches")) == 0


async def test_the_catalogues_say_what_there_is_and_what_is_missing(client):
    superstructures = (await client.get("/v1/superstructures")).json()["data"]
    data = {listed["name"]: listed for listed in (await client.get("/v1/datasets")).json()["data"]}

    fields = {"mlp": "widths", "unet": "levels", "convnet": "channels"}
    assert [listed["kind"] for listed in superstructures] == list(fields)
    for listed in superstructures:
        assert fields[listed["kind"]] in listed["json_schema"]["properties"]
        posted = {"superstructure": listed["example"], "task": {"kind": "classify"}, "data": "digits"}
        if listed["kind"] == "unet":
            posted |= {"task": {"kind": "denoise"}, "data": "photos", "budget": {"crop": 40}}
        answered = await client.post("/v1/searches/estimate", json=posted)
        assert answered.status_code == 200, answered.text
    assert data["digits"]["available"]
    assert data["digits"]["shape"] == [1, 8, 8]
    assert not data["mnist"]["available"]
    assert "BREGNAS_DATA" in data["mnist"]["reason"]
