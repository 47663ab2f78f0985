"""Downloads: whole, in ranges, or not at all where the caller has them."""

import hashlib

import pytest

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several chunks


@pytest.fixture
async def url(client, body, work, publish):
    search_id = (await client.post("/v1/searches", json=body)).json()["id"]
    publish(work(search_id), CONTENT)
    return f"/v1/searches/{search_id}"


async def test_the_model_is_downloaded_under_its_name(client, url):
    answered = await client.get(f"{url}/model")

    digest = hashlib.sha256(CONTENT).hexdigest()
    assert answered.status_code == 200
    assert answered.content == CONTENT
    assert answered.headers["etag"] == f'"{digest}"'
    assert answered.headers["content-type"] == "application/zip"
    assert answered.headers["content-length"] == str(len(CONTENT))
    assert answered.headers["content-disposition"] == 'attachment; filename="net.zip"'
    assert answered.headers["accept-ranges"] == "bytes"
    search = (await client.get(url)).json()
    assert (search["status"], search["result"]["winner"]) == ("succeeded", "found")


async def test_the_artifacts_are_listed_and_downloaded_by_name(client, url):
    listed = (await client.get(f"{url}/artifacts")).json()

    (artifact,) = listed["data"]
    assert artifact["name"] == listed["first_id"] == "net.zip"
    assert artifact["size"] == len(CONTENT)
    assert artifact["sha256"] == hashlib.sha256((await client.get(artifact["url"])).content).hexdigest()
    missing = await client.get(f"{url}/artifacts/other.zip")
    assert missing.status_code == 404
    assert "other.zip" in missing.json()["detail"]
    assert (await client.get(f"{url}/artifacts/..%2Fbregnas.db")).status_code in (404, 422)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-299", 100, 299),
        ("bytes=3000000-", 3_000_000, len(CONTENT) - 1),
        ("bytes=-5", len(CONTENT) - 5, len(CONTENT) - 1),
        ("bytes=10-999999999", 10, len(CONTENT) - 1),
        ("bytes=-999999999", 0, len(CONTENT) - 1),
    ],
)
async def test_a_range_is_answered_with_that_range(client, url, asked, first, last):
    answered = await client.get(f"{url}/model", headers={"Range": asked})

    assert answered.status_code == 206
    assert answered.content == CONTENT[first : last + 1]
    assert answered.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"
    assert answered.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-3", "bytes=-", "bytes=x-"])
async def test_what_is_no_single_range_gets_the_whole(client, url, asked):
    answered = await client.get(f"{url}/model", headers={"Range": asked})

    assert (answered.status_code, len(answered.content)) == (200, len(CONTENT))


@pytest.mark.parametrize("asked", [f"bytes={len(CONTENT)}-", "bytes=-0"])
async def test_a_range_outside_the_file_is_refused_with_its_size(client, url, asked):
    answered = await client.get(f"{url}/model", headers={"Range": asked})

    assert answered.status_code == 416
    assert answered.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert answered.json()["errors"][0]["loc"] == ["header", "Range"]


async def test_a_broken_download_goes_on_only_with_the_same_file(client, url):
    etag = (await client.head(f"{url}/model")).headers["etag"]

    same = await client.get(f"{url}/model", headers={"Range": "bytes=5-", "If-Range": etag})
    other = await client.get(f"{url}/model", headers={"Range": "bytes=5-", "If-Range": '"other"'})

    assert (same.status_code, other.status_code) == (206, 200)


async def test_who_has_it_need_not_download_it(client, url):
    head = await client.head(f"{url}/model", headers={"Range": "bytes=0-1"})
    etag = head.headers["etag"]

    known = await client.get(f"{url}/model", headers={"If-None-Match": etag})
    other = await client.get(f"{url}/artifacts/net.zip", headers={"If-None-Match": '"other"'})

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(CONTENT))
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    assert other.status_code == 200
