"""kill -9 of worker, trainer, or both, at random epochs: one result, the same widths and weights."""

import random
import time

import pytest

from ..service import serving

pytestmark = pytest.mark.trains

KILLS = 4  # the long run, `python -m bench.kills`, does more


def test_killed_at_random_moments_a_search_ends_with_the_undisturbed_result(tmp_path, database_url, calm):
    dice = random.Random(5)
    with serving(tmp_path / "home", BREGNAS_DATABASE_URL=database_url) as service:
        search = service.post()
        for kill in range(KILLS):
            # Each kill waits for progress, so that three losses without a checkpoint between them never come together.
            before = len(_epochs(service, search["id"]))
            service.wait(search["id"], lambda s, n=before: len(_epochs(service, s["id"])) > n or s["finished_at"])
            time.sleep(dice.uniform(0, 0.3))
            for role in (("worker",), ("trainer",), ("worker", "trainer"))[kill % 3]:
                service.kill(role)
            time.sleep(0.5)
        over = service.wait_over(search["id"])

        assert over["status"] == "succeeded", over["error"]
        assert over["attempt"] > 1, "another worker took over"
        found = service.client.get(f"/v1/searches/{search['id']}/artifacts").json()["data"]
        assert {a["name"]: a["sha256"] for a in found if a["name"] in calm} == calm
        path, kinds, after = f"/v1/searches/{search['id']}/events", [], None
        while True:
            page = service.client.get(path, params={"limit": 100, **({"after": after} if after else {})}).json()
            kinds += [event["kind"] for event in page["data"]]
            if not page["has_more"]:
                break
            after = page["last_id"]
        assert kinds.count("succeeded") == 1
        assert kinds.count("moved") >= 2


def _epochs(service, search_id):
    return service.client.get(f"/v1/searches/{search_id}/layers").json()["epochs"]
