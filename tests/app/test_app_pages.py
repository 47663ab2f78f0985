"""The pages as a browser gets them: shells without anything of anybody, sessions, and files that are all here."""

import dataclasses
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from app.auth import COOKIE
from app.main import create_app
from app.pages import HEADERS, SCRIPTS
from app.service import Service
from store import keys, queue, tables
from store.database import write

pytestmark = pytest.mark.anyio

STATIC = Path(__file__).parents[2] / "app" / "static"
MOST = 60_000  # bytes of script a page, compressed
HTML = {"Accept": "text/html"}
SITE = "http://bregnas.example"


@pytest.fixture
def closed(settings):
    """A service that asks for keys."""
    service = Service.open(dataclasses.replace(settings, require_key=True, host="0.0.0.0"))
    queue.prepare(service.engine)
    yield service
    service.close()


@pytest.fixture
async def stranger(closed):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(closed)), base_url=SITE) as client:
        yield client


@pytest.fixture
def secret(closed):
    with write(closed.engine) as tx:
        return keys.make(tx, None, "test")[1]


class Inline(HTMLParser):
    """Collects what a content security policy of one's own files alone forbids, and the addresses of the rest."""

    def __init__(self):
        super().__init__()
        self.forbidden, self.addresses, self.inside = [], [], None

    def handle_starttag(self, tag, attributes):
        self.inside = tag
        self.forbidden += [name for name, _ in attributes if name == "style" or name.startswith("on")]
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        if self.inside in ("script", "style") and data.strip():
            self.forbidden.append(data)

    def handle_endtag(self, tag):
        self.inside = None


@pytest.mark.parametrize("path", SCRIPTS)
async def test_a_shell_has_nothing_inline_and_all_its_files_are_here(client, path):
    answered = await client.get(path.replace("{id}", "srch_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"), headers=HTML)
    assert answered.status_code == 200
    assert answered.headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in answered.headers["content-security-policy"]
    shell = Inline()
    shell.feed(answered.text)
    assert shell.forbidden == []
    files = [address for address in shell.addresses if address.startswith("/static/")]
    assert len(files) >= 3
    for address in files:
        file = await client.get(address)
        assert file.status_code == 200
        assert file.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        again = await client.get(address, headers={"If-None-Match": file.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize("script", [script for script, _ in SCRIPTS.values() if script != "docs"])
def test_the_scripts_of_a_page_are_small(script):
    waiting, seen = [STATIC / f"{script}.js"], set()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        if file.parent == STATIC:
            named = re.findall(r"""(?:from|import|import\()\s*'(\./[^']+)'""", file.read_text())
            waiting += [(STATIC / name).resolve() for name in named]
    assert len(seen) >= 4
    assert sum(len(gzip.compress(file.read_bytes())) for file in seen) <= MOST


def test_what_is_of_others_is_what_it_was_and_says_whose():
    listed = json.loads((STATIC / "vendor" / "vendor.json").read_text())
    there = {path.name for path in (STATIC / "vendor").iterdir()} - {"vendor.json", "LICENSES.txt"}
    assert set(listed) == there
    licences = (STATIC / "vendor" / "LICENSES.txt").read_text()
    for name, known in listed.items():
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == known["sha256"], name
        assert f"{known['package']} {known['version']}: LICENSE" in licences


def test_no_file_asks_for_anything_elsewhere():
    ours = [path for path in STATIC.rglob("*") if path.suffix in (".js", ".css", ".svg") and "vendor" not in path.parts]
    assert len(ours) > 20
    for path in ours:
        assert set(re.findall(r"https?://[^\s'\"`<)]+", path.read_text())) <= {"http://www.w3.org/2000/svg"}, path


async def test_a_page_leads_to_the_key_form_and_the_api_says_401(stranger):
    page = await stranger.get("/compare?a=1&b=2", headers=HTML)
    assert (page.status_code, page.headers["location"]) == (303, "/key?next=%2Fcompare%3Fa%3D1%26b%3D2")
    assert (await stranger.get("/", headers={"Accept": "*/*"})).status_code == 401
    assert (await stranger.get("/v1/searches", headers=HTML)).status_code == 401
    assert (await stranger.get("/key")).status_code == 200
    assert (await stranger.get("/static/style.css")).status_code == 200
    assert (await stranger.get("/static/../auth.py")).status_code in (401, 404)
    assert (await stranger.get("/session")).status_code == 401


async def test_a_session_stands_for_its_key(stranger, closed, secret, body):
    wrong = await stranger.post("/session", json={"key": "bgk_" + "x" * 43})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_key")
    begun = await stranger.post("/session", json={"key": f" {secret} "}, headers={"Origin": SITE})
    assert begun.status_code == 204
    assert {"HttpOnly", "SameSite=strict"} <= set(begun.headers["set-cookie"].split("; "))
    token = stranger.cookies[COOKIE]
    assert secret not in begun.headers["set-cookie"]
    assert (await stranger.get("/session")).json() == {"has_key": True}

    for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        refused = await stranger.post("/v1/searches", json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
    made = await stranger.post("/v1/searches", json=body, headers={"Origin": SITE})
    assert made.status_code == 202
    by_key = await stranger.get("/v1/searches", headers={"Authorization": f"Bearer {secret}"})
    assert [one["id"] for one in by_key.json()["data"]] == [made.json()["id"]]

    ended = await stranger.delete("/session", headers={"Origin": SITE})
    assert ended.status_code == 204
    stranger.cookies.set(COOKIE, token)
    assert (await stranger.get("/v1/searches")).json()["code"] == "session_over"


@pytest.mark.parametrize("end", ["expired", "revoked"])
async def test_a_session_ends(stranger, closed, secret, end):
    await stranger.post("/session", json={"key": secret})
    assert (await stranger.get("/v1/searches")).status_code == 200
    with write(closed.engine) as tx:
        if end == "expired":
            tx.execute(tables.sessions.update().values(expires_at=1))
        else:
            keys.revoke(tx, keys.all_keys(tx)[0].id)
    assert (await stranger.get("/v1/searches")).status_code == 401
    assert (await stranger.get("/new", headers=HTML)).status_code == 303
    assert (await stranger.post("/session", json={"key": secret}, headers={"Origin": SITE})).status_code == (
        204 if end == "expired" else 401
    )


async def test_without_keys_a_page_of_another_site_is_still_turned_away(client):
    refused = await client.post("/session", json={"key": "x"}, headers={"Origin": "http://evil.example"})
    assert refused.status_code == 403
    assert (await client.get("/", headers={**HTML, "Host": "evil.example"})).status_code == 421


async def test_a_superstructure_is_drawn(client, body):
    unet = {"superstructure": {"kind": "unet", "levels": 2, "base": 4}, "data": "photos", "target": None}
    made = (await client.post("/v1/searches", json={**body, **unet, "budget": {"crop": 32}, "compare": []})).json()
    drawn = (await client.get(f"/v1/searches/{made['id']}/graph")).json()
    assert drawn["inputs"] == 3
    assert {layer["name"]: (layer["stride"], layer["reads"]) for layer in drawn["layers"]} == {
        "down1_1": (1, ["input"]),
        "down1_2": (1, ["down1_1"]),
        "down2_1": (2, ["down1_2"]),
        "down2_2": (2, ["down2_1"]),
        "up1_1": (1, ["down1_2", "down2_2"]),
        "up1_2": (1, ["up1_1"]),
        "head": (1, ["up1_2"]),
    }


async def test_events_of_a_kind(client, body, work):
    made = (await client.post("/v1/searches", json=body)).json()
    work(made["id"])
    path = f"/v1/searches/{made['id']}/events"
    kinds = {
        kind: [event["kind"] for event in (await client.get(path, params={"kind": kind})).json()["data"]]
        for kind in ("epoch", "-epoch", "nothing")
    }
    assert kinds == {"epoch": ["epoch"] * 2, "-epoch": ["queued", "starting", "running"], "nothing": []}
    assert (await client.get(path, params={"kind": "Epoch!"})).status_code == 422
