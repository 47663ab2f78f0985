"""HEAD answers as GET does, without the body, on every route that can be read."""

import re

import httpx
import pytest

pytestmark = pytest.mark.anyio

OF_THE_MOMENT = {"date", "x-request-id", "content-length"}  # the last of what counts time or searches


@pytest.fixture
async def search(client, body, work, publish):
    made = (await client.post("/v1/searches", json=body)).json()
    publish(work(made["id"]), b"x" * 5000)
    return made["id"]


async def test_every_get_route_answers_a_head_alike(client, search):
    document = (await client.get("/openapi.json")).json()
    assert not any("head" in operations for operations in document["paths"].values())
    values = {"id": search, "name": "net.zip"}
    paths = [path for path, operations in document["paths"].items() if "get" in operations]
    asked = [re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path) for path in (*paths, "/v1/nothing")]
    assert len(asked) > 12
    for path in asked:
        got, head = await client.get(path), await client.head(path)

        assert head.status_code == got.status_code, path
        assert head.content == b""
        assert set(head.headers) == set(got.headers), path
        for name in set(got.headers) - OF_THE_MOMENT:
            assert head.headers[name] == got.headers[name], (path, name)


async def test_the_length_of_a_download_is_told(client, search):
    head = await client.head(f"/v1/searches/{search}/model")

    assert (head.headers["content-length"], head.content) == ("5000", b"")
    assert head.headers["accept-ranges"] == "bytes"


async def test_a_head_of_a_poll_is_conditional(client, search):
    etag = (await client.head(f"/v1/searches/{search}")).headers["etag"]

    assert (await client.head(f"/v1/searches/{search}", headers={"If-None-Match": etag})).status_code == 304


async def test_a_head_of_a_stream_that_never_ends_does_end(client, body):
    running = (await client.post("/v1/searches", json=body)).json()["id"]

    head = await client.head(
        f"/v1/searches/{running}/events", headers={"Accept": "text/event-stream"}, timeout=httpx.Timeout(10)
    )

    assert head.status_code == 200
    assert head.headers["content-type"].startswith("text/event-stream")
    assert head.content == b""


async def test_what_can_only_be_posted_says_so(client, search):
    refused = await client.head(f"/v1/searches/{search}/cancel")

    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    allowed = (await client.put(f"/v1/searches/{search}")).headers["allow"]
    assert allowed == "GET, HEAD, DELETE"
