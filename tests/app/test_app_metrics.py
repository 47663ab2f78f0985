"""What Prometheus is told."""

import pytest

pytestmark = pytest.mark.anyio


async def test_what_waits_runs_and_was_asked_is_counted(client, body, work):
    work((await client.post("/v1/searches", json=body)).json()["id"])
    second = (await client.post("/v1/searches", json=body)).json()["id"]
    await client.get(f"/v1/searches/{second}")
    await client.get("/nowhere")

    text = (await client.get("/metrics")).text

    for line in (
        'bregnas_queue_depth{queue="cpu"} 1.0',
        'bregnas_searches{state="running"} 1.0',
        'bregnas_requests_total{method="GET",route="/v1/searches/{id}",status="200"} 1.0',
        'bregnas_requests_total{method="GET",route="none",status="404"} 1.0',
        'bregnas_build_info{version="0.1.0"} 1.0',
    ):
        assert line in text.splitlines(), text
    assert second not in text
