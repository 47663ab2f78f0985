"""Events: a list that is paged, a stream that goes on where it broke off."""

import asyncio
import json

import pytest

from app import events

pytestmark = pytest.mark.anyio

STREAM = {"Accept": "text/event-stream"}


def parsed(text):
    """The events of a stream, as a browser reads them."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def test_the_list_is_paged_by_cursor(client, body, work):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    work(search_id)

    first = (await client.get(f"/v1/searches/{search_id}/events?limit=3")).json()
    rest = (await client.get(f"/v1/searches/{search_id}/events?after={first['last_id']}")).json()

    assert [event["kind"] for event in first["data"]] == ["queued", "starting", "running"]
    assert first["has_more"]
    assert [event["kind"] for event in rest["data"]] == ["epoch", "epoch"]
    assert rest["data"][0]["data"]["active"] == [9, 5, 64]
    assert not rest["has_more"]
    assert rest["data"][0]["created_at"].endswith("Z")


async def test_the_stream_tells_what_happens_while_it_happens_and_ends_with_the_search(client, body, work, publish):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    watching = asyncio.create_task(client.get(f"/v1/searches/{search_id}/events", headers=STREAM))
    await asyncio.sleep(0.2)
    publish(await asyncio.to_thread(work, search_id), b"zip")

    answered = await asyncio.wait_for(watching, 10)

    assert answered.status_code == 200
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert answered.headers["cache-control"] == "no-cache"
    told = parsed(answered.text)
    assert [kind for _, kind, _ in told] == ["queued", "starting", "running", "epoch", "epoch", "succeeded"]
    assert [number for number, _, data in told if number == data["id"]] == sorted(number for number, _, _ in told)


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(client, body, work, publish):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    publish(work(search_id), b"zip")
    url = f"/v1/searches/{search_id}/events"
    everything = parsed((await client.get(url, headers=STREAM)).text)

    seen = everything[2][0]
    rest = await client.get(url, headers={**STREAM, "Last-Event-ID": str(seen)})
    after = await client.get(f"{url}?after={seen}", headers=STREAM)
    nothing = await client.get(url, headers={**STREAM, "Last-Event-ID": str(everything[-1][0])})

    assert parsed(rest.text) == parsed(after.text) == everything[3:]
    assert nothing.status_code == 204  # which tells a browser not to come back


async def test_a_long_history_is_streamed_whole(client, body, work, publish):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    publish(work(search_id, epochs=5), b"zip")
    before = events._BATCH
    events._BATCH = 3
    try:
        answered = await client.get(f"/v1/searches/{search_id}/events", headers=STREAM)
    finally:
        events._BATCH = before

    assert len(parsed(answered.text)) == 3 + 5 + 1


async def test_a_stream_that_cannot_be_is_refused_before_it_starts(client):
    unknown = "/v1/searches/srch_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b/events"

    missing = await client.get(unknown, headers=STREAM)
    malformed = await client.get(unknown, headers={**STREAM, "Last-Event-ID": "x"})

    assert missing.status_code == 404
    assert malformed.status_code == 422
    assert malformed.json()["errors"][0]["loc"] == ["header", "Last-Event-ID"]
    for answered in (missing, malformed):
        assert answered.headers["content-type"] == "application/problem+json"


async def test_a_stream_ends_when_its_search_is_deleted_or_the_service_ends(client, body, service):
    async def watched():
        url = (await client.post("/v1/searches", json=body)).headers["location"]
        watching = asyncio.create_task(client.get(f"{url}/events", headers=STREAM))
        await asyncio.sleep(0.2)
        return url, watching

    url, watching = await watched()
    await client.delete(url)
    assert [kind for _, kind, _ in parsed((await asyncio.wait_for(watching, 5)).text)] == ["queued"]

    _, watching = await watched()
    service.stopping = True
    assert (await asyncio.wait_for(watching, 5)).status_code == 200
