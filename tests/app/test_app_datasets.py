"""Uploads over HTTP: made once, listed, used, deleted; and what is refused leaves nothing."""

import io
import json
import zipfile
from dataclasses import replace

import anyio
import httpx
import numpy as np
import pytest
from PIL import Image

from app import uploads
from app.main import create_app
from store.database import write

pytestmark = pytest.mark.anyio


def images(count=10, seed=0) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(count):
            one = io.BytesIO()
            pixels = np.random.default_rng([seed, number]).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(one, "PNG")
            archive.writestr(zipfile.ZipInfo(f"{number}.png"), one.getvalue())  # always the same bytes
    return file.getvalue()


@pytest.fixture
def upload(client):
    async def upload(data=None, name="mine.zip"):
        return await client.post("/v1/datasets", files={"file": (name, images() if data is None else data)})

    return upload


@pytest.fixture
def left(settings):
    """What lies on the disk because of uploads."""

    def left():
        home = settings.store.home
        places = (home / "uploads", home / "artifacts")
        return [path for place in places for path in place.rglob("*") if path.is_file()]

    return left


async def test_an_upload_is_described_listed_and_found_again(client, upload, left):
    made = await upload()
    again = await upload(name="other name.zip")

    said = made.json()
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.headers["location"] == again.headers["location"] == f"/v1/datasets/{said['id']}"
    assert (said["name"], said["format"], said["shape"], said["count"]) == ("mine.zip", "images", [1, 8, 8], 10)
    assert said["splits"] == {"train": 8, "validation": 1, "test": 1}
    assert len(said["previews"]) == 8
    assert (await client.get(made.headers["location"])).json() == said == again.json()
    listed = (await client.get("/v1/datasets")).json()["data"]
    assert {"digits", "mnist"} < {data["name"] for data in listed}
    assert listed[-1] == {**said, "previews": None}
    assert len(left()) == 1


async def test_a_named_set_is_looked_at_by_its_name(client):
    found = await client.get("/v1/datasets/digits")

    assert found.json()["shape"] == [1, 8, 8]
    assert (await client.get("/v1/datasets/digit")).status_code == 404
    assert (await client.delete("/v1/datasets/digits")).status_code == 409


async def test_a_set_cannot_be_deleted_while_a_search_uses_it(client, upload, body, left):
    url = (await upload()).headers["location"]
    data = url.rpartition("/")[2]
    search = await client.post("/v1/searches", json={**body, "data": data})

    in_use = await client.delete(url)
    await client.post(f"{search.headers['location']}/cancel")
    deleted, gone = await client.delete(url), await client.delete(url)

    assert search.status_code == 202
    assert (in_use.status_code, deleted.status_code, gone.status_code) == (409, 204, 404)
    assert search.json()["id"] in in_use.json()["detail"]
    assert left() == []
    assert (await client.get(search.headers["location"])).json()["spec"]["data"] == data


async def test_a_search_on_an_unknown_set_is_refused_at_its_field(client, body):
    refused = await client.post("/v1/searches", json={**body, "data": "dset_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["data"]


async def test_a_search_is_planned_with_the_shape_of_the_upload(client, upload, body):
    data = (await upload()).json()["id"]

    estimate = await client.post("/v1/searches/estimate", json={**body, "data": data})
    classify = await client.post("/v1/searches", json={**body, "data": data, "task": {"kind": "classify"}})

    assert estimate.json()["layers"][-1]["width"] == 64
    assert classify.status_code == 422


def form(data: bytes, field="file", boundary="b") -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="x.zip"\r\n\r\n'
    return head.encode() + data + f"\r\n--{boundary}--\r\n".encode()


FORM = {"Content-Type": "multipart/form-data; boundary=b"}

WRONG = {
    "empty file": (form(b""), FORM, 422, "the file is empty"),
    "wrong field": (form(b"x", field="data"), FORM, 422, "needs a field named 'file' instead of 'data'"),
    "two files": (form(b"x")[:-7] + b"\r\n" + form(b"y"), FORM, 422, "given twice"),
    "no multipart": (b"PK", {"Content-Type": "application/zip"}, 415, "given: application/zip"),
    "JSON": (b"{}", {"Content-Type": "application/json"}, 415, "multipart/form-data"),
    "compressed": (form(b"x"), {**FORM, "Content-Encoding": "gzip"}, 415, "without Content-Encoding"),
    "no type": (b"x", {}, 415, "no Content-Type"),
    "no boundary": (form(b"x"), {"Content-Type": "multipart/form-data"}, 400, "boundary"),
    "another boundary": (form(b"x", boundary="c"), FORM, 400, "no multipart form"),
    "cut short": (form(b"x" * 1000)[:-300], FORM, 400, "cut short"),
    "nothing": (b"", FORM, 400, "empty or cut short"),
    "endless header": (b"--b\r\nX: " + b"x" * 100_000, FORM, 400, "no multipart form"),
    "HTML": (form(b"<html></html>"), FORM, 422, "HTML"),
    "a name that leads out": (form(b"x").replace(b"x.zip", b"../../../etc/passwd"), FORM, 422, "the file is text"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_form_is_refused_in_words_and_leaves_nothing(client, left, case):
    content, headers, status, words = WRONG[case]

    refused = await client.post("/v1/datasets", content=content, headers=headers)

    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert words in refused.json()["detail"]
    assert left() == []


@pytest.fixture
async def small(service):
    """A client of a service that takes 100 kB at most."""
    service.settings = replace(service.settings, upload_limit=100_000)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_what_is_too_large_is_refused_whether_its_length_is_declared_or_not(small, left):
    async def endless():
        yield form(b"")[:-9]
        for _ in range(1000):
            yield bytes(10_000)

    declared = await small.post("/v1/datasets", files={"file": bytes(300_000)})
    chunked = await small.post("/v1/datasets", content=endless(), headers=FORM)

    for refused in (declared, chunked):
        assert refused.status_code == 413
        assert refused.headers["content-type"] == "application/problem+json"
        assert "100,000 bytes" in refused.json()["detail"]
    assert left() == []


async def test_what_a_killed_process_left_is_removed_and_what_another_works_on_is_not(service, settings, upload, left):
    await upload()
    abandoned = settings.store.home / "uploads" / "tmpdead"
    abandoned.mkdir()
    (abandoned / "upload").write_bytes(b"half of a file")
    with uploads.folder(service) as busy:
        (busy / "upload").write_bytes(b"being received")
        uploads.tidy(service)

        assert not abandoned.exists()
        assert busy.exists()

    assert len(left()) == 1  # the set that has a row


class Slow:
    """Uploads that have begun, and send the rest when they are let."""

    def __init__(self, client, count):
        self.data = images()
        self._client, self._go, self._begun = client, anyio.Event(), [anyio.Event() for _ in range(count)]
        self.answers = []

    async def _content(self, begun):
        yield form(b"")[:-9]
        begun.set()
        await self._go.wait()
        yield self.data + form(b"")[-9:]

    async def _send(self, begun):
        self.answers.append(await self._client.post("/v1/datasets", content=self._content(begun), headers=FORM))

    async def begin(self, group):
        for begun in self._begun:
            group.start_soon(self._send, begun)
        for begun in self._begun:
            await begun.wait()

    def finish(self):
        self._go.set()


async def test_one_upload_too_many_at_once_is_sent_away_for_now(client, upload, left):
    slow = Slow(client, 4)
    async with anyio.create_task_group() as group:
        await slow.begin(group)
        refused = await upload()
        slow.finish()

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_uploads")
    assert refused.headers["retry-after"]
    assert sorted(made.status_code for made in slow.answers) == [200, 200, 200, 201]
    assert (await upload(slow.data)).status_code == 200
    assert len(left()) == 1


async def test_an_upload_that_falls_silent_makes_room_for_others(client, upload, left, monkeypatch):
    monkeypatch.setattr("app.form.SILENT_S", 0.2)
    slow = Slow(client, 4)
    async with anyio.create_task_group() as group:
        await slow.begin(group)

    assert [(made.status_code, made.json()["code"]) for made in slow.answers] == [(408, "upload_stalled")] * 4
    assert left() == []
    assert (await upload()).status_code == 201


async def test_a_full_disk_is_said_with_503(client, upload, settings, left, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.form._Form.feed", full)

    refused = await upload()

    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert left() == []


async def test_an_artifact_store_that_is_away_leaves_no_row(service, upload, left, monkeypatch):
    from store.artifacts import StoreUnavailable

    def away(*_):
        raise StoreUnavailable("away")

    monkeypatch.setattr(service.artifacts, "put_dataset", away)

    refused = await upload()

    assert refused.status_code == 503
    assert json.loads(refused.text)["code"] == "artifacts_unavailable"
    assert left() == []
    with write(service.engine) as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM datasets").scalar() == 0
