"""A search waits for workers of its device: the one that it names, else the service's own."""

from dataclasses import replace

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
def waiting(client):
    async def waiting() -> dict[str, float]:
        lines = (await client.get("/metrics")).text.splitlines()
        found = [line.split('"') for line in lines if line.startswith("bregnas_queue_depth{")]
        return {queue: float(depth.removeprefix("} ")) for _, queue, depth in found}

    return waiting


async def test_a_search_names_its_device(client, body, waiting):
    made = await client.post("/v1/searches", json={**body, "device": "cuda"})

    assert made.json()["spec"]["device"] == "cuda"
    assert await waiting() == {"cpu": 0, "cuda": 1}


@pytest.mark.parametrize("default", ["cpu", "cuda"])
async def test_one_that_names_none_takes_the_service_s_and_keeps_it(service, client, body, waiting, default):
    service.settings = replace(service.settings, queue=default)
    made = await client.post("/v1/searches", json=body)
    service.settings = replace(service.settings, queue="cpu")
    cloned = await client.post(f"{made.headers['location']}/clone")

    assert made.json()["spec"]["device"] == cloned.json()["spec"]["device"] == default
    assert (await waiting())[default] == 2


async def test_the_same_request_is_replayed_whatever_the_default_has_become(service, client, body):
    key = {"Idempotency-Key": "one"}
    made = await client.post("/v1/searches", json=body, headers=key)
    service.settings = replace(service.settings, queue="cuda")

    again = await client.post("/v1/searches", json=body, headers=key)

    assert (again.status_code, again.json()["id"]) == (202, made.json()["id"])


async def test_an_unknown_device_is_refused_at_its_field(client, body):
    refused = await client.post("/v1/searches", json={**body, "device": "tpu"})

    assert refused.json()["errors"][0]["loc"] == ["device"]
    assert "'cpu' or 'cuda'" in refused.json()["detail"]
