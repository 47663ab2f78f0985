"""The disk is full: of the API, of a worker and its trainer, of the artifact store. All goes on once there is room."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from store import searches
from tests.faults.disks import needs_root, small_disk
from tests.service import SPEC, serving

pytestmark = needs_root


@pytest.fixture
def disk(request, tmp_path):
    with small_disk(tmp_path / request.param, 24) as mounted:
        yield mounted


def npz(seed):
    buffer = io.BytesIO()
    np.savez(buffer, x=np.random.default_rng(seed).random((600, 8, 8), dtype=np.float32))
    return buffer.getvalue()


def refused(answer):
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    return True


@pytest.mark.parametrize("disk", ["home"], indirect=True)
def test_the_api_refuses_what_it_cannot_keep_and_keeps_nothing_of_it(disk):
    with serving(disk.path, workers=0) as service:
        kept = service.post()["id"]
        disk.fill()
        accepted = {kept}
        for seed in range(400):  # until the pages that the database holds in reserve are used up
            answer = service.client.post("/v1/searches", json={**SPEC, "seed": seed})
            if answer.status_code != 202:
                break
            accepted.add(answer.json()["id"])
        assert refused(answer)
        assert answer.json()["code"] == "database_unavailable"
        upload = service.client.post("/v1/datasets", files={"file": ("a.npz", npz(1))})
        assert refused(upload)
        assert upload.json()["code"] == "disk_unavailable"
        assert refused(service.client.post(f"/v1/searches/{kept}/cancel"))
        assert refused(service.client.get("/readyz"))
        assert service.get(kept)["status"] == "queued", "it can still be read"

        disk.free()
        assert service.client.get("/readyz").status_code == 200
        assert service.client.post("/v1/datasets", files={"file": ("a.npz", npz(1))}).status_code == 201
        accepted.add(service.post()["id"])
        listed, after = set(), {}
        while True:
            page = service.client.get("/v1/searches", params={"limit": 100, **after}).json()
            listed |= {search["id"] for search in page["data"]}
            if not page["has_more"]:
                break
            after = {"after": page["last_id"]}
        assert listed == accepted
        assert len([data for data in service.client.get("/v1/datasets").json()["data"] if data["id"]]) == 1
        assert list((disk.path / "uploads").iterdir()) == []
        assert len([path for path in (disk.path / "artifacts").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("room_kb", [100, 300, 700])
@pytest.mark.parametrize("disk", ["home"], indirect=True)
def test_an_upload_that_fills_the_disk_on_its_way_leaves_nothing(disk, room_kb):
    with serving(disk.path, workers=0) as service:
        (disk.path / "room").write_bytes(bytes(room_kb << 10))
        disk.fill()
        (disk.path / "room").unlink()
        data = np.random.default_rng(room_kb).random((1500, 8, 8), dtype=np.float32)  # 375 KiB, and once more checked
        buffer = io.BytesIO()
        np.savez(buffer, x=data)
        assert refused(service.client.post("/v1/datasets", files={"file": ("a.npz", buffer.getvalue())}))
        assert [path for path in (disk.path / "artifacts").rglob("*") if path.is_file()] == []
        assert list((disk.path / "uploads").iterdir()) == []
        disk.free()
        assert service.client.post("/v1/datasets", files={"file": ("a.npz", buffer.getvalue())}).status_code == 201


@pytest.mark.trains
@pytest.mark.parametrize("disk", ["home"], indirect=True)
def test_a_trainer_without_room_for_a_checkpoint_waits_and_goes_on(disk, machines, calm):
    machines.start("home")
    search_id = machines.post()
    machines.wait(search_id, lambda s: s.state == "running" and (s.epoch or 0) >= 2)
    disk.fill()
    waits(machines, search_id, "disk of the worker is full")
    time.sleep(3)
    assert machines.get(search_id).state == "running"
    disk.free()
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 1)
    assert machines.bytes_of(search_id) == calm
    assert "trainer_died" not in machines.kinds(search_id)


@pytest.mark.trains
@pytest.mark.parametrize("disk", ["home"], indirect=True)
def test_a_search_that_waits_for_room_can_be_cancelled_and_the_worker_ended(disk, machines):
    disk.fill()
    worker = machines.start("home")
    search_id = machines.post()
    waits(machines, search_id, "disk of the worker is full")
    machines.do(searches.cancel, search_id)
    machines.wait_state(search_id, "cancelled", timeout=20)
    second = machines.post()
    waits(machines, second, "disk of the worker is full")
    worker.terminate()
    assert worker.wait(45) == 0
    found = machines.get(second)
    assert (found.state, found.attempt) == ("queued", 2), "handed back, to be run where there is room"


@pytest.mark.trains
@pytest.mark.parametrize("disk", ["artifacts"], indirect=True)
def test_a_finished_search_waits_for_room_in_the_artifact_store(disk, machines, calm):
    disk.fill()
    machines.start("home")
    search_id = machines.post()
    waits(machines, search_id, "the artifact store cannot be used")
    assert machines.get(search_id).state == "running"
    assert [path for path in disk.path.rglob("*") if path.is_file() and path.name != "ballast"] == []
    disk.free()
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 1)
    assert machines.bytes_of(search_id) == calm
    assert machines.kinds(search_id).count("succeeded") == 1


def waits(machines, search_id, words):
    machines.wait(search_id, lambda s: any(words in json.dumps(data) for data in machines.told(search_id, "waiting")))


@pytest.mark.trains
@pytest.mark.parametrize("disk", ["home"], indirect=True)
def test_an_installation_with_everything_on_one_full_disk_waits_and_goes_on(disk, calm):
    with serving(disk.path) as service:
        search = service.post()
        waiting = service.post()
        service.wait(search["id"], lambda s: s["status"] == "running" and (s["progress"]["epoch"] or 0) >= 2)
        disk.fill()
        time.sleep(6)  # twice the silence after which a worker is taken for dead
        disk.free()
        for search_id in (search["id"], waiting["id"]):
            over = service.wait_over(search_id)
            assert (over["status"], over["attempt"]) == ("succeeded", 1), over["error"]
            listed = service.client.get(f"/v1/searches/{search_id}/artifacts").json()["data"]
            assert {a["name"]: a["sha256"] for a in listed if a["name"] in calm} == calm


def test_a_log_that_cannot_be_written_stops_nobody():
    program = (
        "from store import logs; import logging, structlog; logs.configure('info')\n"
        "for _ in range(500): structlog.get_logger().info('x' * 100); logging.getLogger('a').warning('y')\n"
        "print('alive')"
    )
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=False)
    assert ran.stdout == b"alive\n"
