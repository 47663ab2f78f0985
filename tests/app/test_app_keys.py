"""Who comes in: with a key where keys are asked for, and from this machine alone where none is."""

import dataclasses
import io
import os
import subprocess
import sys

import httpx
import pytest
import structlog
from sqlalchemy import text

from app import auth, events
from app.auth import check_keys
from app.main import create_app
from app.service import Service
from app.settings import Settings, is_loopback
from store import keys, queue
from store.database import read, write
from store.settings import Settings as StoreSettings

pytestmark = pytest.mark.anyio

CLI = [sys.executable, "-m", "bregnas.cli"]
FALSE = "bgk_" + "x" * 43


def client_of(service, **options):
    transport = httpx.ASGITransport(create_app(service))
    return httpx.AsyncClient(transport=transport, base_url="http://bregnas.example", **options)


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def closed(settings):
    """A service that asks for keys."""
    service = Service.open(dataclasses.replace(settings, require_key=True, host="0.0.0.0"))
    queue.prepare(service.engine)
    yield service
    service.close()


@pytest.fixture
def make(closed):
    def make_key(tenant=None):
        with write(closed.engine) as tx:
            return keys.make(tx, tenant, "test")

    return make_key


async def test_every_route_but_health_asks_for_a_key(closed, make):
    _, secret = make()
    async with client_of(closed) as client:
        document = (await client.get("/openapi.json", headers=bearer(secret))).json()
        assert document["security"] == [{"key": []}]
        asked = 0
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                answered = await client.request(method, path.replace("{id}", "srch_x").replace("{name}", "x"))
                if path in auth.OPEN:
                    assert answered.status_code in (200, 503)
                    assert operation["security"] == []
                    continue
                asked += 1
                assert answered.status_code == 401, path
                assert answered.headers["content-type"] == "application/problem+json"
                assert answered.headers["www-authenticate"].startswith("Bearer")
                assert answered.json()["code"] == "no_key"
                assert answered.json()["request_id"] == answered.headers["x-request-id"]
                assert "401" in operation["responses"]
        assert asked > 10
        for path in ("/openapi.json", "/nothing", "/v1/nothing", "/healthz/", "//healthz", "/HEALTHZ"):
            assert (await client.get(path)).status_code == 401, path


async def test_a_key_opens_and_a_revoked_one_no_longer(closed, make):
    key, secret = make()
    async with client_of(closed, headers=bearer(secret)) as client:
        opened = await client.get("/v1/searches")
        with write(closed.engine) as tx:
            keys.revoke(tx, key.id)
        refused = await client.get("/v1/searches")

    assert opened.status_code == 200
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_what_is_no_key_opens_nothing(closed, make):
    _, secret = make()
    _, other = make()
    wrong = [
        bearer(FALSE),
        bearer(secret[:-1]),
        bearer(secret + "x"),
        bearer(secret.upper()),
        bearer(f"{secret}, {other}"),
        bearer("' OR 1=1 --"),
        {"Authorization": secret},
        {"Authorization": f"Basic {secret}"},
        {"Authorization": ""},
        {"Authorization": b"Bearer \xff\xfe"},
        {"Cookie": f"key={secret}"},
        {"X-API-Key": secret},
    ]
    async with client_of(closed) as client:
        for headers in wrong:
            assert (await client.get("/v1/searches", headers=headers)).status_code == 401, headers
        twice = [("Authorization", f"Bearer {secret}"), ("Authorization", f"Bearer {secret}")]
        assert (await client.get("/v1/searches", headers=twice)).status_code == 401
        for name in ("key", "access_token", "token", "api_key"):  # it would stand in logs and histories
            assert (await client.get("/v1/searches", params={name: secret})).status_code == 401
        assert (await client.get("/v1/searches", headers={"Authorization": f"bearer  {secret} "})).status_code == 200


async def test_no_secret_gets_into_the_log(closed, make, monkeypatch):
    _, secret = make()
    log = io.StringIO()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        logger_factory=structlog.WriteLoggerFactory(file=log),
        cache_logger_on_first_use=False,
    )  # fmt: skip
    for module in ("app.requests", "app.problems", "app.searches"):
        monkeypatch.setattr(f"{module}._log", structlog.get_logger("app"))
    app = create_app(closed)

    @app.get("/breaks")
    def breaks():
        raise RuntimeError("inside")

    try:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for secret_sent in (secret, FALSE):
                for path in ("/v1/searches", "/breaks", "/nothing"):
                    answered = await client.get(path, headers=bearer(secret_sent))
                    assert secret_sent not in answered.text
                    assert secret_sent not in repr(answered.headers)
            with closed.engine.begin() as tx:
                tx.execute(text("DROP TABLE sessions"))
                tx.execute(text("DROP TABLE keys"))
            assert (await client.get("/v1/searches", headers=bearer(secret))).status_code == 503
    finally:
        structlog.reset_defaults()
        from store import logs

        logs.configure("error")

    written = log.getvalue()
    assert '"path": "/v1/searches"' in written
    assert "RuntimeError" in written
    assert "database_unavailable" in written
    assert '"key": "key_' in written  # who it was, can be told
    assert secret not in written
    assert FALSE not in written


async def test_a_stream_ends_when_its_key_is_revoked(closed, make, body, monkeypatch):
    monkeypatch.setattr(events, "POLL_S", 0.01)
    key, secret = make()
    async with client_of(closed, headers=bearer(secret)) as client:
        url = (await client.post("/v1/searches", json=body)).headers["location"]
        search_id = url.rpartition("/")[2]
    stream = events._stream(closed, auth.Caller(key.tenant, key.id), search_id, 0)
    assert b"retry" in await anext(stream)
    assert b"event: queued" in await anext(stream)

    with write(closed.engine) as tx:
        keys.revoke(tx, key.id)

    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_without_keys_only_this_machine_s_names_are_answered(service):
    async with client_of(service) as client:
        for host in ("localhost", "localhost:8000", "127.0.0.1:8000", "127.0.0.2", "[::1]:8000", "LOCALHOST"):
            assert (await client.get("/v1/searches", headers={"Host": host})).status_code == 200, host
        for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
                     "10.0.0.1", "", "[::1", "localhost@evil.example", "0.0.0.0"):  # fmt: skip
            refused = await client.get("/v1/searches", headers={"Host": host})
            if host == "[::1":
                continue  # no browser sends it
            assert refused.status_code == 421, host
            assert refused.json()["code"] == "wrong_host"
        assert (await client.get("/healthz")).status_code == 200


async def test_the_operator_may_add_names(settings):
    service = Service.open(dataclasses.replace(settings, hosts=("bregnas.example",)))
    async with client_of(service) as client:
        assert (await client.get("/v1/searches")).status_code == 200
    service.close()


async def test_a_stranger_s_page_cannot_post_without_a_key(client, body):
    for origin in ("https://evil.example", "http://localhost:3000", "null", "http://localhost.evil.example", ""):
        refused = await client.post("/v1/searches", json=body, headers={"Origin": origin})
        assert refused.status_code == 403, origin
        assert refused.json()["code"] == "foreign_origin"
    assert (await client.get("/v1/searches")).json()["data"] == []
    own = await client.post("/v1/searches", json=body, headers={"Origin": "http://localhost"})
    assert own.status_code == 202
    assert "access-control-allow-origin" not in own.headers


async def test_a_key_counts_also_where_none_is_needed(client, service, body):
    with write(service.engine) as tx:
        _, secret = keys.make(tx, "lab", "test")
    await client.post("/v1/searches", json=body)

    assert (await client.get("/v1/searches", headers=bearer(FALSE))).status_code == 401
    assert (await client.get("/v1/searches", headers=bearer(secret))).json()["data"] == []
    assert len((await client.get("/v1/searches")).json()["data"]) == 1


def test_which_addresses_ask_for_a_key(monkeypatch, tmp_path):
    monkeypatch.setenv("BREGNAS_HOME", str(tmp_path))
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert is_loopback(host)
        monkeypatch.setenv("HOST", host)
        assert not Settings.from_environment().require_key
        monkeypatch.setenv("BREGNAS_REQUIRE_KEY", "1")
        assert Settings.from_environment().require_key
        monkeypatch.setenv("BREGNAS_REQUIRE_KEY", "0")  # on any other address it cannot be switched off
    for host in ("0.0.0.0", "::", "10.1.2.3", "bregnas.example", "localhost.example"):
        monkeypatch.setenv("HOST", host)
        assert Settings.from_environment().require_key


def test_it_refuses_to_start_without_a_key(closed, make):
    with pytest.raises(ValueError, match="bregnas keys make NAME"):
        check_keys(closed)
    key, _ = make()
    check_keys(closed)
    with write(closed.engine) as tx:
        keys.revoke(tx, key.id)
    with pytest.raises(ValueError, match="bregnas keys make NAME"):
        check_keys(closed)


@pytest.fixture
def empty(databases, tmp_path):
    """A database without tables, which the first command makes."""
    with databases.fresh(migrated=False) as url:
        yield StoreSettings(tmp_path, None, url, str(tmp_path / "artifacts"))


def test_the_operator_makes_lists_and_revokes_keys(empty):
    environment = {**os.environ, "BREGNAS_HOME": str(empty.home), "BREGNAS_DATABASE_URL": empty.database_url}

    def bregnas(*words, **more):
        done = subprocess.run(
            [*CLI, *words], env=environment | more, capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr
        return done

    refused = bregnas("serve", HOST="0.0.0.0", PORT="0")
    assert refused.returncode == 2
    assert "bregnas keys make NAME" in refused.stderr
    assert "worker" not in refused.stderr  # nothing has begun

    secret = bregnas("keys", "make", "laptop", "--tenant", "lab").stdout.strip()
    service = Service.open(Settings(empty))
    with read(service.engine) as tx:
        key = keys.resolve(tx, secret)
    service.close()
    assert (key.tenant, key.name) == ("lab", "laptop")

    listed = bregnas("keys", "list").stdout
    assert all(part in listed for part in (key.id, "lab", "laptop", "valid"))
    assert secret not in listed
    assert bregnas("keys", "revoke", key.id).returncode == 0
    assert "revoked" in bregnas("keys", "list").stdout
    assert bregnas("keys", "revoke", "key_none").returncode == 2
