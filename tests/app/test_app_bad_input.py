"""Whatever is wrong is refused in words that name the field, and queues nothing."""

import json
import math
import time

import pytest
from sqlalchemy import text

from store.database import read

from ..databases import queue_table

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def queued(service):
    def count():
        with read(service.engine) as tx:
            tables = ("searches", queue_table(service.engine))
            return sum(tx.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables)

    return count


@pytest.fixture
def refused(client, queued):
    """Post a document or raw bytes; the problem it is refused with."""

    async def post(document, *, status=422, headers=JSON, path="/v1/searches"):
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        answered = await client.post(path, content=content, headers=headers)
        problem = answered.json()
        assert answered.status_code == status, problem
        assert answered.headers["content-type"] == "application/problem+json"
        assert problem["status"] == status
        assert problem["request_id"] == answered.headers["x-request-id"]
        assert problem["title"]
        assert problem["detail"]
        assert len(answered.content) < 20_000
        assert queued() == 0
        return problem

    return post


def only(problem):
    (error,) = problem["errors"]
    return error["loc"], error["msg"]


@pytest.mark.parametrize(
    ("changed", "loc", "words"),
    [
        ({"superstructure": {"kind": "mpl", "widths": [8]}}, ["superstructure", "kind"], "did you mean 'mlp'?"),
        ({"superstructure": {"kind": "unet", "widths": [8]}}, ["superstructure", "widths"], "unknown field"),
        ({"task": {"kind": "denois"}}, ["task", "kind"], "did you mean 'denoise'?"),
        ({"task": {"kind": "denoise", "sigm": 1}}, ["task", "sigm"], "did you mean 'sigma'?"),
        ({"methd": {}}, ["methd"], "did you mean 'method'?"),
        ({"target": {"parameters": 10}}, ["target", "parameters"], "has networks from 195 to 3,696 parameters"),
        ({"compare": ["flatt"]}, ["compare", 0], "'flat'"),
        ({"method": {"optimizer": "adabregg"}}, ["method", "optimizer"], "did you mean 'adabreg'?"),
        ({"method": {"lr": -1}}, ["method", "lr"], "greater than 0"),
        ({"method": {"lr": math.nan}}, ["method", "lr"], "finite"),
        ({"method": {"lr": math.inf}}, ["method", "lr"], "finite"),
        ({"method": {"lr": "0.1"}}, ["method", "lr"], "number"),
        ({"method": {"lam": -0.1}}, ["method", "lam"], "greater than or equal to 0"),
        ({"method": {"lam": math.nan}}, ["method", "lam"], "finite"),
        ({"method": {"lam": -math.inf}}, ["method", "lam"], "finite"),
        ({"method": {"density": math.nan}}, ["method", "density"], "finite"),
        ({"method": {"density": -0.5}}, ["method", "density"], "greater than 0"),
        ({"task": {"kind": "denoise", "sigma": math.nan}}, ["task", "sigma"], "finite"),
        ({"task": {"kind": "denoise", "sigma": math.inf}}, ["task", "sigma"], "finite"),
        ({"task": {"kind": "denoise", "sigma": -1.0}}, ["task", "sigma"], "greater than 0"),
        ({"task": {"kind": "regress"}}, ["task"], "choose such data"),
        ({"task": {"kind": "deblur", "kernel_size": 63}}, ["task", "kernel_size"], "take at most"),
        ({"superstructure": {"kind": "mlp", "widths": [0, 8]}}, ["superstructure", "widths", 0], "equal to 1"),
        ({"superstructure": {"kind": "mlp", "widths": [8, -1]}}, ["superstructure", "widths", 1], "equal to 1"),
        ({"superstructure": {"kind": "mlp", "widths": [8, 10**7]}}, ["superstructure", "widths", 1], "equal to 65536"),
        ({"superstructure": {"kind": "mlp", "widths": [8] * 200}}, ["superstructure", "widths"], "at most 64"),
        (
            {"superstructure": {"kind": "mlp", "widths": [65_536] * 8}},
            ["superstructure", "widths"],
            "the limit is 4",
        ),
        ({"data": "digitz"}, ["data"], "did you mean 'digits'?"),
        ({"data": "mnist"}, ["data"], "BREGNAS_DATA"),
        ({"data": "../etc/passwd"}, ["data"], "not allowed"),
        ({"name": "a\x00b"}, ["name"], "not allowed"),
        ({"metadata": {"k": "v" * 513}}, ["metadata", "k"], "at most 512"),
        ({"seed": 10**30}, ["seed"], "2147483647"),
        ({"seed": 1.5}, ["seed"], "integer"),
        ({"budget": {"epochs": 0}}, ["budget", "epochs"], "equal to 1"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/searches", "/v1/searches/estimate"])
async def test_a_wrong_field_is_named_with_what_to_write_instead(refused, body, changed, loc, words, path):
    problem = await refused({**body, **changed}, path=path)

    where, message = only(problem)
    assert where == loc
    assert words in message
    assert message in problem["detail"]


async def test_everything_wrong_is_named_at_once_but_not_without_end(refused, body):
    problem = await refused({**body, "seed": -1, "nam": "x", "budget": {"epochs": "ten"}})
    assert {tuple(error["loc"]) for error in problem["errors"]} == {("seed",), ("nam",), ("budget", "epochs")}
    assert "(and 2 more)" in problem["detail"]

    endless = await refused({**body, **{f"field{number}": 0 for number in range(10_000)}})
    assert len(endless["errors"]) == 21


@pytest.mark.parametrize(
    "document", [b"", b"{", b'{"name": tru}', b"{'name': 1}", b'{"name": "\xff"}', b"\xef\xbb\xbf{}"]
)
async def test_broken_json_is_refused_with_the_place_where_it_breaks(refused, document):
    problem = await refused(document, status=400)

    assert problem["code"] == "invalid_json"
    assert "line 1 column" in problem["detail"] or "byte order mark" in problem["detail"]


@pytest.mark.parametrize("document", [[], None, 3, "text", True])
async def test_json_that_is_no_object_is_refused(refused, document):
    assert only(await refused(document)) == ([], "must be a JSON object")


@pytest.mark.parametrize(
    "document", [b"[" * 100_000, b'{"metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, b"[" * 400 + b"]" * 400]
)
async def test_deep_nesting_is_refused(refused, document):
    assert "nested too deeply" in only(await refused(document))[1]


@pytest.mark.parametrize(
    ("document", "loc"),
    [
        (b'{"name": "\\ud800"}', ["name"]),
        (b'{"metadata": {"k": "\\udfff x"}}', ["metadata", "k"]),
        (b'{"metadata": {"\\ud800": "v"}}', ["metadata", "\\ud800"]),
        (b'{"superstructure": {"widths": ["\\ud800"]}}', ["superstructure", "widths", 0]),
    ],
)
async def test_half_a_surrogate_pair_is_named(refused, document, loc):
    where, message = only(await refused(document))

    assert where == loc
    assert "surrogate" in message


@pytest.mark.parametrize("digits", [20, 5000])
@pytest.mark.parametrize(
    ("document", "loc"),
    [
        ('{"seed": %s}', ["seed"]),
        ('{"seed": -%s}', ["seed"]),
        ('{"superstructure": {"kind": "mlp", "widths": [8, %s]}}', ["superstructure", "widths", 1]),
        ('{"task": {"kind": "denoise", "sigma": 1%s}}', ["task", "sigma"]),
    ],
)
async def test_a_huge_number_is_named_however_huge(refused, document, loc, digits):
    problem = await refused((document % ("9" * digits)).encode())

    assert loc in [error["loc"] for error in problem["errors"]]


async def test_a_whole_surrogate_pair_is_a_character(client, body):
    document = json.dumps({**body, "name": "🙂"}).encode()
    assert b"\\ud83d\\ude42" in document

    answered = await client.post("/v1/searches", content=document, headers=JSON)

    assert answered.json()["name"] == "🙂"


@pytest.mark.parametrize(
    "given", ["text/plain", "", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json"]
)
async def test_another_content_type_is_refused(refused, body, given):
    problem = await refused(body, status=415, headers={"Content-Type": given})

    assert only(problem) == (["header", "Content-Type"], "must be application/json")


async def test_a_compressed_body_is_refused(refused, body):
    problem = await refused(body, status=415, headers={**JSON, "Content-Encoding": "gzip"})

    assert only(problem)[0] == ["header", "Content-Encoding"]


@pytest.mark.parametrize(
    "given", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_is_accepted_however_it_is_spelt(client, body, given):
    answered = await client.post("/v1/searches", content=json.dumps(body), headers={"Content-Type": given})

    assert answered.status_code == 202


async def test_a_body_over_1_mb_is_refused_whether_its_length_is_declared_or_not(refused, client, body, queued):
    large = json.dumps({**body, "name": "x" * 1_000_000}).encode()
    declared = await refused(large, status=413)

    async def chunks():
        for _ in range(300):
            yield b" " * 10_000

    undeclared = await client.post("/v1/searches", content=chunks(), headers=JSON)

    assert "1,000,000 bytes" in declared["detail"]
    assert undeclared.status_code == 413
    assert undeclared.json()["code"] == "body_too_large"
    assert queued() == 0


@pytest.mark.parametrize(
    "document",
    [
        {f"f{number}": 1 for number in range(70_000)},
        {"x" * 900_000: 1},
        {"superstructure": {"kind": "x" * 900_000}},
        {"superstructure": {"kind": "mlp", "widths": ["a"] * 150_000}},
        {"metadata": {f"f{number}": 1 for number in range(70_000)}},
        {"seed": int("9" * 4000)},
    ],
)
async def test_a_body_made_to_cost_much_is_refused_soon_and_in_few_words(refused, document):
    began = time.process_time()

    await refused(document)

    assert time.process_time() - began < 5  # half a second of the CPU, measured


@pytest.mark.parametrize("path", ["", "/layers", "/events", "/artifacts", "/model", "/artifacts/model.onnx"])
async def test_an_id_is_malformed_or_unknown(client, path):
    malformed = await client.get(f"/v1/searches/srch_123{path}")
    unknown = await client.get(f"/v1/searches/srch_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b{path}")

    assert malformed.status_code == 422
    assert malformed.json()["errors"][0]["loc"] == ["path", "id"]
    assert unknown.status_code == 404
    assert "srch_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b" in unknown.json()["detail"]
    for answered in (malformed, unknown):
        assert answered.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "name", "words"),
    [
        ("limt=3", "limt", "did you mean 'limit'?"),
        ("limit=0", "limit", "equal to 1"),
        ("limit=101", "limit", "equal to 100"),
        ("limit=ten", "limit", "integer"),
        ("limit=1&limit=2", "limit", "twice"),
        ("status=done", "status", "queued"),
        ("after=yesterday", "after", "form"),
        ("metadata=x", "metadata", "metadata[…]"),
        ("metadata[a%00]=x", "metadata[a\x00]", "control character"),
        ("metadata[]=x", "metadata[]", "1 to 64"),
        ("%F0%9F=x", "��"[:1], "unknown parameter"),
    ],
)
async def test_a_wrong_query_parameter_is_named(client, query, name, words):
    answered = await client.get(f"/v1/searches?{query}")

    assert answered.status_code == 422
    where, message = only(answered.json())
    assert where == ["query", name]
    assert words in message


async def test_no_route_ignores_a_parameter(client, body):
    url = (await client.post("/v1/searches", json=body)).headers["location"]

    for path in (
        "/healthz",
        "/readyz",
        "/v1/superstructures",
        "/v1/datasets",
        url,
        f"{url}/layers",
        f"{url}/artifacts",
    ):
        assert (await client.get(path, params={"x": "1"})).status_code == 422
    assert (await client.post("/v1/searches?dry_run=1", json=body)).status_code == 422
    assert (await client.post(f"{url}/cancel?force=1")).status_code == 422
    assert (await client.get(url)).json()["status"] == "queued"


async def test_the_model_of_a_search_that_has_none_is_a_conflict_that_tells_the_state(client, body, work):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]

    queued = await client.get(f"/v1/searches/{search_id}/model")
    work(search_id)
    running = await client.get(f"/v1/searches/{search_id}/model")

    assert (queued.status_code, running.status_code) == (409, 409)
    assert "the search is queued" in queued.json()["detail"]
    assert "the search is running" in running.json()["detail"]
