"""Clocks are set by an hour, forwards and backwards, in the middle of a search: nobody is taken for dead by that."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from store import database, searches
from tests.faults.cluster import Cluster, programs
from tests.faults.workers import Machines
from tests.service import SPEC

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
pytestmark = [
    pytest.mark.trains,
    pytest.mark.skipif(LIBRARY is None, reason="CLOCKS THAT JUMP ARE NOT TESTED: libfaketime is not installed"),
]
ENDLESS = {"budget": {"epochs": 10_000, "batch_size": 32, "time_limit_s": 1800}}


class Clock:
    """What time it is for processes with this environment; their steady clocks are as they are."""

    def __init__(self, folder):
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip

    def set(self, seconds):
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)


def is_undisturbed(machines, clock, calm):
    """One search goes through an hour forwards and two backwards, another to its end through one forwards."""
    endless = machines.post(**ENDLESS)
    machines.wait(endless, lambda s: s.state == "running" and (s.epoch or 0) >= 2)
    for seconds in (3600, -3600):
        clock.set(seconds)
        time.sleep(4.5)  # longer than a silent worker is borne
        before = machines.get(endless).epoch
        machines.wait(endless, lambda s, n=before: s.state != "running" or s.epoch > n)
        found = machines.get(endless)
        assert (found.state, found.attempt) == ("running", 1), f"clock at {seconds:+d}: {found.error_message}"
    machines.do(searches.cancel, endless)
    machines.wait_state(endless, "cancelled")

    search_id = machines.post()
    machines.wait(search_id, lambda s: s.state == "running" and (s.epoch or 0) >= 2)
    clock.set(0)
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 1), found.error_message
    kinds = machines.kinds(endless) + machines.kinds(search_id)
    assert not {"moved", "trainer_died"} & set(kinds)
    assert kinds.count("succeeded") == 1
    assert machines.bytes_of(search_id) == calm


def test_the_clock_of_one_worker_jumps(machines, calm, tmp_path):
    clock = Clock(tmp_path)
    machines.start("home-a", **clock.environment)
    machines.start("home-b")  # by the right clock; each sweeps, and either may have a search
    is_undisturbed(machines, clock, calm)


@pytest.mark.database("sqlite")  # whose clock is that of whoever asks
def test_the_clocks_of_api_and_workers_jump(machines, calm, tmp_path):
    clock = Clock(tmp_path)
    for home in ("home-a", "home-b"):
        machines.start(home, **clock.environment)
    with api(machines, clock) as client:
        clock.set(3600)
        later = client.post("/v1/searches", json=SPEC).json()["id"]
        assert machines.get(later).created_at > time.time() + 1800, "its clock should have jumped"
        clock.set(0)
        assert client.get(f"/v1/searches/{later}").status_code == 200
        machines.wait_state(later, "succeeded")
        is_undisturbed(machines, clock, calm)
        clock.set(-3600)
        listed = [search["id"] for search in client.get("/v1/searches").raise_for_status().json()["data"]]
        assert len(set(listed)) == len(listed) == 3


@contextmanager
def api(machines, clock):
    """The API alone: the library that bends the clock breaks the sleep of the process that restarts others."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {"BREGNAS_HOME": str(machines.folder / "api"), "BREGNAS_DATABASE_URL": machines.url, "PORT": port}
    process = subprocess.Popen(
        [sys.executable, "-m", "bregnas.cli", "api"],
        env={**os.environ, **environment, **clock.environment}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 90
            while True:
                try:
                    client.get("/healthz").raise_for_status()
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            yield client
    finally:
        process.kill()
        process.wait()


@pytest.mark.database("postgresql")
@pytest.mark.skipif(programs() is None, reason="POSTGRESQL'S CLOCK IS NOT TESTED: it is not installed")
def test_the_clock_of_postgresql_jumps(calm, tmp_path):
    with Cluster(lambda folder: Clock(folder).environment) as cluster:
        database.migrate(cluster.url)
        clock = Clock(cluster.folder)
        machines = Machines(tmp_path, cluster.url)
        try:
            for home in ("home-a", "home-b"):
                machines.start(home)
            clock.set(3600)
            with database.read(machines.engine) as tx:
                assert abs(tx.scalar(select(database.now())) - time.time() - 3600) < 60, "its clock should have jumped"
            is_undisturbed(machines, clock, calm)
        finally:
            machines.close()
