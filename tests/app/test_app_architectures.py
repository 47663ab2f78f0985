"""What was found is found again: by shape, size and loss, page by page, and by nobody else."""

import pytest

from store.attempts import NewArtifact

pytestmark = pytest.mark.anyio


@pytest.fixture
async def found(client, service, body, work):
    """Three searches; their architectures have 100, 200, 300 parameters."""
    for number, widths in enumerate([[9, 3, 6], [9, 6, 3], [4, 4, 4]], 1):
        attempt = work((await client.post("/v1/searches", json=body)).json()["id"])
        stored = service.artifacts.put(attempt.search_id, 1, b"zip")
        scores = {"loss": 1 / number, "psnr": 10.0}
        sizes = {"widths": widths, "parameters": 100 * number, "macs": 90 * number}
        candidates = [{"name": "found", **sizes, "validation": scores}, {"name": "nan", **sizes, "validation": None}]
        attempt.publish(
            {"winner": "found", "candidates": candidates},
            [NewArtifact("net.zip", stored, "application/zip")],
            bundle="net.zip",
        )


async def test_a_bottleneck_is_found_with_its_waist(client, found):
    [one] = (await client.get("/v1/architectures", params={"shape": "bottleneck"})).json()["data"]
    assert (one["widths"], one["waist"], one["waist_ratio"], one["waist_depth"]) == ([9, 3, 6], 1, 0.5, 0.5)
    assert (one["candidate"], one["won"], one["metrics"]) == ("found", True, {"psnr": 10.0})


@pytest.mark.parametrize("sort", ["parameters", "-parameters", "loss", "-loss", "created_at", "-created_at"])
async def test_pages_hold_everything_once_and_in_order(client, found, sort):
    seen, after = [], {}
    while True:
        page = (await client.get("/v1/architectures", params={"sort": sort, "limit": 1, **after})).json()
        seen += page["data"]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    values = [one[sort.removeprefix("-")] for one in seen]
    assert len(values) == 3
    assert values == sorted(values, reverse=sort.startswith("-"))


@pytest.mark.parametrize(
    ("filters", "sizes"),
    [
        ({"min_parameters": 150, "max_parameters": 250}, [200]),
        ({"max_loss": 0.5}, [200, 300]),
        ({"won": "false"}, []),
        ({"task": "classify"}, []),
        ({"data": "digits", "superstructure": "mlp", "candidate": "found"}, [100, 200, 300]),
    ],
)
async def test_filters(client, found, filters, sizes):
    page = (await client.get("/v1/architectures", params={"sort": "parameters", **filters})).json()
    assert [one["parameters"] for one in page["data"]] == sizes


@pytest.mark.parametrize("after", ["abc", "W10", "WyJsb3NzIiwxLDEsMV0"])
async def test_a_cursor_that_is_none_is_refused(client, after):
    answer = await client.get("/v1/architectures", params={"after": after})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["query", "after"]
