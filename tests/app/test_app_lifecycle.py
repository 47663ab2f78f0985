"""Pause, resume, clone, and requests sent twice, as a caller sees them."""

import asyncio

import pytest

pytestmark = pytest.mark.anyio


async def posted(client, body, **headers):
    answer = await client.post("/v1/searches", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_a_search_rests_and_goes_on(client, body, work):
    made = await posted(client, body)
    path = f"/v1/searches/{made['id']}"
    for _ in range(2):
        answer = await client.post(f"{path}/pause")
        assert (answer.status_code, answer.json()["status"]) == (202, "paused")
        assert answer.headers["etag"]
    for _ in range(2):
        answer = await client.post(f"{path}/resume")
        assert (answer.status_code, answer.json()["status"], answer.json()["attempt"]) == (202, "queued", 2)

    other = await posted(client, body)
    attempt = work(other["id"])
    path = f"/v1/searches/{other['id']}"
    assert (await client.post(f"{path}/pause")).json()["status"] == "pausing"
    assert (await client.post(f"{path}/resume")).status_code == 409, "its worker is still at it"
    attempt.paused()
    assert (await client.post(f"{path}/resume")).json()["status"] == "queued"
    await client.post(f"{path}/cancel")
    for verb in ("pause", "resume"):
        problem = (await client.post(f"{path}/{verb}")).json()
        assert (problem["status"], problem["code"]) == (409, "illegal_state")
    unknown = "srch_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"
    for verb in ("pause", "resume", "clone"):
        assert (await client.post(f"/v1/searches/{unknown}/{verb}")).status_code == 404


async def test_a_clone_is_a_new_search_with_what_was_changed(client, body):
    made = await posted(client, {**body, "seed": 1, "priority": 9})
    path = f"/v1/searches/{made['id']}/clone"
    plain = await client.post(path)
    assert plain.status_code == 202, plain.text
    assert plain.json()["id"] != made["id"]
    assert plain.json()["spec"] == made["spec"]
    assert plain.headers["location"] == f"/v1/searches/{plain.json()['id']}"

    changed = (await client.post(path, json={"seed": 2, "name": "another"})).json()
    assert changed["spec"] == {**made["spec"], "seed": 2, "name": "another"}

    seeds = (await client.post(path, json={"seeds": [3, 4]})).json()
    assert (seeds["spec"]["seed"], seeds["spec"]["seeds"]) == (0, [3, 4]), "in place of its seed"
    seed = (await client.post(f"/v1/searches/{seeds['id']}/clone", json={"seed": 5})).json()
    assert (seed["spec"]["seed"], seed["spec"]["seeds"]) == (5, None)
    assert (await client.post(path, json={"seeds": None})).json()["spec"] == made["spec"]
    assert (await client.post(path, json={"seed": 5, "seeds": [3, 4]})).status_code == 422

    for overrides, loc in (
        ({"sed": 2}, ["sed"]),
        ({"seed": -1}, ["seed"]),
        ([1], []),
        ({"priority": 101}, ["priority"]),
    ):
        answer = await client.post(path, json=overrides)
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, loc)
    assert (await client.post(path, content=b"{", headers={"Content-Type": "application/json"})).status_code == 400
    long = b'{"seed": ' + b"9" * 5000 + b"}"
    assert (await client.post(path, content=long, headers={"Content-Type": "application/json"})).status_code == 422
    assert len((await client.get("/v1/searches")).json()["data"]) == 6


async def test_a_request_sent_twice_makes_one_search(client, body):
    key = {"Idempotency-Key": "made-by-the-client-1"}
    answers = await asyncio.gather(*(client.post("/v1/searches", json=body, headers=key) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {202}
    (search_id,) = {answer.json()["id"] for answer in answers}
    assert all(answer.headers["location"].endswith(search_id) for answer in answers)
    assert len((await client.get("/v1/searches")).json()["data"]) == 1

    problem = (await client.post("/v1/searches", json={**body, "seed": 77}, headers=key)).json()
    assert (problem["status"], problem["code"]) == (422, "idempotency_mismatch")
    assert problem["errors"][0]["loc"] == ["header", "Idempotency-Key"]
    path = f"/v1/searches/{search_id}/clone"
    assert (await client.post(path, headers=key)).json()["code"] == "idempotency_mismatch", "it named a POST"
    key = {"Idempotency-Key": "clone"}
    clones = [(await client.post(path, json={"seed": 5}, headers=key)).json()["id"] for _ in range(2)]
    assert clones[0] == clones[1] != search_id

    await client.delete(f"/v1/searches/{search_id}")
    first = {"Idempotency-Key": "made-by-the-client-1"}
    assert (await client.post("/v1/searches", json=body, headers=first)).status_code == 404
    assert (await client.post("/v1/searches", json=body, headers={"Idempotency-Key": ""})).status_code == 422
