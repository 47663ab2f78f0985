"""Every error is a problem document, whoever raises it, and shows nothing of the inside."""

import io
import json
import re

import httpx
import pytest
import structlog
from sqlalchemy import text

from app import requests
from app.main import create_app
from app.problems import MEDIA_TYPE
from store.database import read, write

from ..databases import queue_table

pytestmark = pytest.mark.anyio


async def test_an_unknown_path_and_a_wrong_method(client):
    unknown = await client.get("/v2/searches")
    slash = await client.get("/v1/searches/")
    wrong = await client.put("/v1/searches", content=b"x")
    one = await client.post("/v1/searches/srch_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b")

    for answered, status in ((unknown, 404), (slash, 404), (wrong, 405), (one, 405)):
        assert answered.status_code == status
        assert answered.headers["content-type"] == MEDIA_TYPE
    assert wrong.headers["allow"] == "GET, HEAD, POST"
    assert one.headers["allow"] == "GET, HEAD, DELETE"


async def test_a_request_has_one_id_its_callers_or_ours(client):
    theirs = await client.get("/v1/nothing", headers={"X-Request-ID": "run-7.a_B"})
    ours = await client.get("/healthz", headers={"X-Request-ID": 'no "id" at all'})

    assert theirs.headers["x-request-id"] == theirs.json()["request_id"] == "run-7.a_B"
    assert re.fullmatch(r"req_[0-9a-f]{32}", ours.headers["x-request-id"])


async def test_what_nobody_expected_is_a_500_without_its_inside(client, service, monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(
        requests,
        "_log",
        structlog.wrap_logger(
            structlog.PrintLogger(log),
            processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger("info"),
        ),
    )
    service.settings = "hunter2"  # which is no settings
    answered = await client.post(
        "/v1/searches",
        json={"superstructure": {"kind": "mlp", "widths": [8]}, "task": {"kind": "classify"}, "data": "digits"},
    )

    assert answered.status_code == 500
    assert answered.headers["content-type"] == MEDIA_TYPE
    assert answered.json()["code"] == "internal"
    assert not any(word in answered.text for word in ("hunter2", "Traceback", "AttributeError", "'str'"))
    unexpected, request = map(json.loads, log.getvalue().splitlines())
    assert (unexpected["event"], request["status"]) == ("unexpected", 500)
    assert unexpected["request_id"] == request["request_id"] == answered.json()["request_id"]


async def test_a_search_is_accepted_with_its_queue_entry_or_not_at_all(client, body, service):
    queue = queue_table(service.engine)
    away = queue.replace("workflow_status", "away")
    with write(service.engine) as tx:
        tx.execute(text(f"ALTER TABLE {queue} RENAME TO away"))

    refused = await client.post("/v1/searches", json=body)

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    assert refused.headers["content-type"] == MEDIA_TYPE
    assert refused.json()["code"] == "database_unavailable"
    assert "workflow_status" not in refused.text
    with read(service.engine) as tx:
        for table in ("searches", "layers", "events", away):
            assert tx.scalar(text(f"SELECT count(*) FROM {table}")) == 0

    with write(service.engine) as tx:
        tx.execute(text(f"ALTER TABLE {away} RENAME TO workflow_status"))
    accepted = await client.post("/v1/searches", json=body)
    assert accepted.status_code == 202
    with read(service.engine) as tx:
        (entry,) = tx.execute(text(f"SELECT workflow_uuid, status FROM {queue}")).all()
    assert tuple(entry) == (f"{accepted.json()['id']}:1", "ENQUEUED")


FULL = {
    "sqlite": [
        "CREATE TRIGGER no_space BEFORE INSERT ON workflow_status"
        " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    ],
    "postgresql": [
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END $$",
        "CREATE TRIGGER no_space BEFORE INSERT ON dbos.workflow_status EXECUTE FUNCTION no_space()",
    ],
}


async def test_a_refused_queue_entry_leaves_nothing(client, body, service):
    with write(service.engine) as tx:
        for statement in FULL[service.engine.dialect.name]:
            tx.execute(text(statement))

    refused = await client.post("/v1/searches", json=body)

    assert refused.status_code in (500, 503)
    with read(service.engine) as tx:
        assert tx.scalar(text("SELECT count(*) FROM searches")) == 0


async def test_a_database_that_is_away_is_a_503(client, body, service, databases, database_url):
    url = (await client.post("/v1/searches", json=body)).headers["location"]
    service.engine.dispose()
    with databases.away(database_url):
        answers = [
            await client.get(url),
            await client.get("/v1/searches"),
            await client.post("/v1/searches", json=body),
            await client.post(f"{url}/cancel"),
            await client.delete(url),
            await client.get(f"{url}/events", headers={"Accept": "text/event-stream"}),
            await client.get(f"{url}/model"),
            await client.get("/readyz"),
        ]
        assert (await client.get("/healthz")).status_code == 200

    for answered in answers:
        assert answered.status_code == 503
        assert answered.headers["retry-after"] == "5"
        assert answered.headers["content-type"] == MEDIA_TYPE
    assert {tuple(error["loc"]) for error in answers[-1].json()["errors"]} == {("database",), ("migrations",)}
    assert (await client.get(url)).status_code == 200


async def test_an_artifact_store_that_is_away_is_a_503(client, body, work, publish, settings):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    publish(work(search_id), b"zip")
    folder = settings.store.home / "artifacts"
    folder.rename(folder.with_name("away"))
    folder.write_text("a file where the folder was")

    model = await client.get(f"/v1/searches/{search_id}/model")
    ready = await client.get("/readyz")

    assert (model.status_code, ready.status_code) == (503, 503)
    assert model.json()["code"] == "artifacts_unavailable"
    assert [error["loc"] for error in ready.json()["errors"]] == [["artifacts"]]


async def test_readiness_notices_tables_of_another_version(client, service):
    assert (await client.get("/readyz")).json()["checks"] == {"database": "ok", "migrations": "ok", "artifacts": "ok"}
    with write(service.engine) as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = 'older'"))

    answered = await client.get("/readyz")

    assert answered.status_code == 503
    assert "bregnas migrate" in answered.json()["detail"]


async def test_an_answer_that_breaks_off_is_cut_and_not_ended(service):
    app = create_app(service)

    @app.get("/breaks")
    async def breaks():
        async def chunks():
            yield b"half"
            raise RuntimeError("the store went away")

        from fastapi.responses import StreamingResponse

        return StreamingResponse(chunks())

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        with pytest.raises(RuntimeError, match="went away"):  # a server closes the connection on it
            await client.get("/breaks")
