"""What is another's is not there: on every route with an id, and by how the code is written."""

import ast
import dataclasses
import importlib
import inspect
import io
from pathlib import Path

import httpx
import numpy as np
import pytest

import app
from app.main import create_app
from app.service import Service
from store import keys, queue
from store.attempts import Attempt, NewArtifact
from store.database import write

NOBODY = "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15  # an id that was never given


@pytest.fixture
def closed(settings):
    service = Service.open(dataclasses.replace(settings, require_key=True))
    queue.prepare(service.engine)
    yield service
    service.close()


@pytest.fixture
def client_of(closed):
    """Clients, each with a key of a tenant of its own."""
    made = create_app(closed)

    def client(name):
        with write(closed.engine) as tx:
            _, secret = keys.make(tx, None, name)
        transport = httpx.ASGITransport(made)
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx.AsyncClient(transport=transport, base_url="http://bregnas.example", headers=headers)

    return client


def operations(document):
    """Every operation on something with an id: method, path, and what it may need in its body."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "{id}" in path:
                yield method.upper(), path, operation


async def one_of_each(client, body):
    """Make one thing of each kind that has an id; ids by the path of their collection."""
    images = io.BytesIO()
    np.savez(images, x=np.random.default_rng(0).random((40, 8, 8)))
    made = {
        "/v1/searches": await client.post("/v1/searches", json=body),
        "/v1/datasets": await client.post("/v1/datasets", files={"file": ("mine.npz", images.getvalue())}),
    }
    assert all(answered.is_success for answered in made.values()), made
    return {path: answered.json()["id"] for path, answered in made.items()}


@pytest.mark.anyio
async def test_every_route_with_an_id_does_not_find_what_is_another_s(client_of, body):
    async with client_of("owner") as owner, client_of("stranger") as stranger:
        document = (await owner.get("/openapi.json")).json()
        things = await one_of_each(owner, body)
        met = set()
        for method, path, operation in operations(document):
            collection = path.partition("/{id}")[0]
            thing = things[collection]  # a new kind of thing must be made above
            nobody = f"{thing[:4]}_{NOBODY}"
            url = path.replace("{name}", "net.zip").replace("{k}", "0")
            options = {"json": {"seed": 2}} if "requestBody" in operation else {}

            theirs = await stranger.request(method, url.replace("{id}", thing), **options)
            none = await stranger.request(method, url.replace("{id}", nobody), **options)

            assert (theirs.status_code, none.status_code) == (404, 404), (method, path, theirs.text)
            # Word for word as if it did not exist, but for the id and the request's own.
            said, unsaid = theirs.json(), none.json()
            assert said["detail"].replace(thing, "") == unsaid["detail"].replace(nobody, "")
            assert set(theirs.headers) == set(none.headers)
            met.add((method, path))
        assert ("GET", "/v1/searches/{id}/model") in met
        assert len(met) >= 13

        events = {"Accept": "text/event-stream"}
        assert (await stranger.get(f"/v1/searches/{things['/v1/searches']}/events", headers=events)).status_code == 404
        assert (await stranger.get("/v1/searches?status=queued")).json()["data"] == []
        for path, methods in document["paths"].items():  # lists show what they show to one who has just come
            if path.startswith("/v1/") and "{id}" not in path and "get" in methods:
                async with client_of("newcomer") as newcomer:
                    shown = await stranger.get(path)
                    assert shown.status_code == 200
                    assert shown.content == (await newcomer.get(path)).content, path
        # Nothing of it has happened to its owner.
        found = (await owner.get(f"/v1/searches/{things['/v1/searches']}")).json()
        assert found["status"] == "queued"
        assert len((await owner.get("/v1/searches")).json()["data"]) == 1


@pytest.mark.anyio
async def test_an_idempotency_key_does_not_give_another_s_search(client_of, body):
    async with client_of("one") as one, client_of("two") as two:
        headers = {"Idempotency-Key": "the-same"}
        first = await one.post("/v1/searches", json=body, headers=headers)
        assert first.status_code == 202, first.text
        first = first.json()["id"]
        other = (await two.post("/v1/searches", json={**body, "seed": 9}, headers=headers)).json()["id"]
        assert first != other
        assert [s["id"] for s in (await two.get("/v1/searches")).json()["data"]] == [other]


@pytest.mark.anyio
async def test_a_search_does_not_begin_on_another_s_path(client_of, closed, body):
    asked = {key: value for key, value in body.items() if key != "target"}
    async with client_of("owner") as owner, client_of("stranger") as stranger:
        begun = (await owner.post("/v1/searches", json=body)).json()["id"]
        attempt = Attempt(closed.engine, begun, 1)
        attempt.start("wrkr_test")
        attempt.running()
        stored = closed.artifacts.put(begun, 1, b"weights")
        files = [NewArtifact(name, stored, "application/octet-stream") for name in ("net.zip", "path-0.safetensors")]
        result = {"winner": "found", "candidates": [{"name": "found", "widths": [8, 4]}]}
        assert attempt.publish(result, files, bundle="net.zip")

        asked["start"] = {"search": begun, "k": 0}
        theirs = await stranger.post("/v1/searches", json=asked)
        none = await stranger.post("/v1/searches", json={**asked, "start": {"search": f"srch_{NOBODY}", "k": 0}})
        assert (await owner.post("/v1/searches", json=asked)).status_code == 202
        assert (theirs.status_code, none.status_code) == (422, 422)
        assert theirs.json()["detail"].replace(begun, "") == none.json()["detail"].replace(f"srch_{NOBODY}", "")
        assert (await stranger.get("/v1/searches")).json()["data"] == []


# Not by their owner: the gate resolves keys, a stream asks for its own, and who tidies asks which files have a row.
OF_NOBODY = {"resolve", "is_valid", "any_valid", "existing", "begin", "end"}  # a session is its browser's


def calls_of_the_store(source):
    """Every call of a function of `store` in a module of `app`: the call and the function."""
    tree = ast.parse(source)
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "store":
            for alias in node.names:
                module = importlib.import_module(node.module)
                found = getattr(module, alias.name, None) or importlib.import_module(f"{node.module}.{alias.name}")
                names[alias.asname or alias.name] = found
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in names:
            function = getattr(names[called.value.id], called.attr, None)
        else:
            function = names.get(called.id) if isinstance(called, ast.Name) else None
        if inspect.isfunction(function):
            yield node, function


def forgets_the_tenant(call, function):
    """Whether a call reads or changes rows of users, and does not say whose."""
    parameters = inspect.signature(function).parameters
    if "tx" not in parameters or function.__name__ in OF_NOBODY:
        return False
    if "tenant" not in parameters:
        return True
    given = {word.arg: word.value for word in call.keywords}.get("tenant")
    place = list(parameters).index("tenant")
    if given is None and place < len(call.args):
        given = call.args[place]
    return not (isinstance(given, ast.Name) and given.id == "tenant") and not (
        isinstance(given, ast.Attribute) and given.attr == "tenant"
    )


def test_the_code_of_the_api_always_says_whose():
    seen = 0
    for path in sorted(Path(app.__path__[0]).glob("*.py")):
        if path.name == "key_commands.py":  # the operator's own, on the command line
            continue
        for call, function in calls_of_the_store(path.read_text()):
            seen += "tx" in inspect.signature(function).parameters
            assert not forgets_the_tenant(call, function), f"{path.name}:{call.lineno} {function.__name__}"
    assert seen > 12


@pytest.mark.parametrize(
    ("line", "forgets"),
    [
        ("searches.get(tx, search_id, tenant=tenant)", False),
        ("searches.get(tx, search_id, tenant=caller.tenant)", False),
        ("searches.get(tx, search_id)", True),
        ("searches.get(tx, search_id, tenant=None)", True),
        ("searches.list_page(tx, limit=3)", True),
        ("searches.create(tx, name=None)", True),
        ("searches.lock(tx, search_id)", True),
    ],
)
def test_the_reader_of_the_code_sees_who_forgets(line, forgets):
    ((call, function),) = calls_of_the_store(f"from store import searches\n{line}")
    assert forgets_the_tenant(call, function) is forgets
