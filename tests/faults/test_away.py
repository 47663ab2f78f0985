"""The database or the artifact store is away for a while: said with 503, waited for by workers, and nothing is lost."""

import shutil
import socket
import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

from store import database, searches
from tests.faults.cluster import Cluster, programs
from tests.faults.test_full_disk import npz, refused, waits
from tests.service import serving

EXACT = ("model.safetensors", "history.json", "architecture.json", "samples.safetensors")


@pytest.mark.database("postgresql")
@pytest.mark.skipif(programs() is None, reason="POSTGRESQL THAT DIES IS NOT TESTED: it is not installed")
def test_postgresql_dies_under_requests_a_stream_and_a_worker(tmp_path, calm):
    with Cluster() as cluster, serving(tmp_path / "home", BREGNAS_DATABASE_URL=cluster.url) as service:
        search = service.post()
        service.wait(search["id"], lambda s: s["status"] == "running" and s["progress"]["epoch"])
        stream = Stream(service.url, f"/v1/searches/{search['id']}/events")
        stream.wait_for("event: running")
        path = f"/v1/searches/{search['id']}"

        cluster.kill()
        for method, asked in (("GET", path), ("GET", "/v1/searches"), ("GET", f"{path}/events"), ("DELETE", path)):
            assert refused(service.client.request(method, asked))
        assert refused(service.client.post("/v1/searches", json={**search["spec"]}))
        assert refused(service.client.post("/v1/datasets", files={"file": ("a.npz", npz(1))}))
        assert refused(service.client.get(f"{path}/events", headers={"Accept": "text/event-stream"}))
        assert service.client.get("/readyz").json()["errors"][0]["loc"] == ["database"]
        assert service.client.get("/healthz").status_code == 200
        stream.wait_for(": the database cannot be used")

        cluster.start()
        over = service.wait_over(search["id"])
        assert (over["status"], over["attempt"]) == ("succeeded", 1), over["error"]
        stream.wait_for("event: succeeded")
        stream.wait_for_end()
        assert hashes(service, over) == calm
        listed = service.client.get("/v1/searches").json()["data"]
        assert [row["id"] for row in listed] == [search["id"]], "what was refused was not done"
        assert service.client.post("/v1/datasets", files={"file": ("a.npz", npz(1))}).status_code == 201
        assert service.wait_over(service.post()["id"])["status"] == "succeeded", "the queue works again too"


def test_a_server_that_does_not_answer_is_said_to_be_away_within_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = database.connect(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none")
        began = time.monotonic()
        with pytest.raises(OperationalError, match="timeout"), database.read(engine):
            pass
        assert time.monotonic() - began < 20
        engine.dispose()


@pytest.mark.trains
@pytest.mark.database("sqlite")
def test_a_folder_of_artifacts_that_is_gone_is_waited_for_and_not_made_anew(tmp_path, calm):
    home = tmp_path / "home"
    with serving(home) as service:
        first = service.wait_over(service.post()["id"])
        second = service.post()
        (home / "artifacts").rename(home / "elsewhere")
        assert refused(service.client.get(f"/v1/searches/{first['id']}/model"))
        assert refused(service.client.post("/v1/datasets", files={"file": ("a.npz", npz(1))}))
        assert refused(service.client.get("/readyz"))
        events = f"/v1/searches/{second['id']}/events"
        service.wait(
            second["id"],
            lambda _: (
                "waiting" in [e["kind"] for e in service.client.get(events, params={"limit": 100}).json()["data"]]
            ),
        )
        assert not (home / "artifacts").exists()

        (home / "elsewhere").rename(home / "artifacts")
        over = service.wait_over(second["id"])
        assert (over["status"], over["attempt"]) == ("succeeded", 1), over["error"]
        assert hashes(service, over) == calm
        assert service.client.get(f"/v1/searches/{first['id']}/model").status_code == 200


@pytest.mark.trains
def test_an_object_store_where_nobody_listens_is_waited_for(machines):
    with socket.socket() as closed:  # bound and not listened at: nobody else takes the port
        closed.bind(("127.0.0.1", 0))
        s3 = {
            "BREGNAS_ARTIFACTS": "s3://bucket", "AWS_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "x",
        }  # fmt: skip
        machines.start("home", **s3)
        search_id = machines.post()
        waits(machines, search_id, "the artifact store cannot be used")
        assert machines.get(search_id).state == "running"
        machines.do(searches.cancel, search_id)
        machines.wait_state(search_id, "cancelled", timeout=30)
        with serving(machines.folder / "api", workers=0, ready="/healthz", **s3) as service:
            assert refused(service.client.post("/v1/datasets", files={"file": ("a.npz", npz(1))}))
            assert service.client.get("/readyz").json()["errors"][0]["loc"] == ["artifacts"]
            assert list((machines.folder / "api" / "uploads").iterdir()) == []


@pytest.mark.trains
def test_a_search_on_uploaded_data_goes_on_on_another_machine(machines):
    shared = {"BREGNAS_DATABASE_URL": machines.url, "BREGNAS_ARTIFACTS": str(machines.folder / "artifacts")}
    with serving(machines.folder / "api", workers=0, **shared) as service:
        uploaded = service.client.post("/v1/datasets", files={"file": ("a.npz", npz(1))}).json()["id"]
        posted = [service.post(data=uploaded)["id"] for _ in range(2)]
        shutil.rmtree(machines.folder / "api" / "uploads")
        first = machines.start("home-a")
        machines.wait_state(posted[0], "succeeded", "failed")
        machines.wait(posted[1], lambda s: s.state == "running" and (s.epoch or 0) >= 3)
        machines.wait(posted[1], lambda s: machines.copy_of(posted[1]) is not None)
        first.kill()
        machines.start("home-b")
        found = machines.wait_state(posted[1], "succeeded", "failed")
        assert (found.state, found.attempt) == ("succeeded", 2), found.error_message
        assert machines.told(posted[1], "started")[-1]["resumed"], "from the copy of a checkpoint"
        assert machines.bytes_of(posted[1]) == machines.bytes_of(posted[0]) != {}
        assert service.client.delete(f"/v1/datasets/{uploaded}").status_code == 204


def hashes(service, search):
    listed = service.client.get(f"/v1/searches/{search['id']}/artifacts").json()["data"]
    return {artifact["name"]: artifact["sha256"] for artifact in listed if artifact["name"] in EXACT}


class Stream:
    """Reads a stream of events in a thread of its own."""

    def __init__(self, url, path):
        self.text, self.ended, self.grown = "", False, threading.Condition()
        threading.Thread(target=self._read, args=(url, path), daemon=True).start()

    def _read(self, url, path):
        import httpx

        with httpx.stream("GET", url + path, headers={"Accept": "text/event-stream"}, timeout=120) as answer:
            for piece in answer.iter_text():
                with self.grown:
                    self.text += piece
                    self.grown.notify_all()
        with self.grown:
            self.ended = True
            self.grown.notify_all()

    def wait_for(self, words):
        with self.grown:
            assert self.grown.wait_for(lambda: words in self.text, timeout=120), self.text[-2000:]

    def wait_for_end(self):
        with self.grown:
            assert self.grown.wait_for(lambda: self.ended, timeout=60), "the stream should end with the search"
