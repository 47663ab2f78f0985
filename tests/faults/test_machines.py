"""Workers that are killed, frozen, cut off from their database, or told to let a search rest."""

import signal
import sqlite3
import time
from pathlib import Path

import pytest

from store import lifecycle

pytestmark = pytest.mark.trains


def progress(search):
    return search.stage, search.epoch or 0


def test_another_machine_goes_on_from_the_copy_of_a_checkpoint(machines, calm):
    first = machines.start("home-a")
    search_id = machines.post()
    machines.wait(search_id, lambda s: s.state == "running" and (s.epoch or 0) >= 3)
    machines.wait(search_id, lambda s: copied(machines, search_id))
    first.kill()
    machines.start("home-b")
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 2)
    assert machines.bytes_of(search_id) == calm
    assert "goes on from a copy" in (machines.folder / "home-b.log").read_text()
    assert not (machines.folder / "home-b" / "runs" / search_id).exists()


def copied(machines, search_id):
    from store.checkpoints import last_checkpoint

    found = last_checkpoint(machines.engine, search_id)
    return found is not None and found.key is not None


def test_a_paused_search_goes_on_elsewhere_with_the_same_result(machines, calm):
    first = machines.start("home-a", BREGNAS_CHECKPOINT_S="1000", BREGNAS_CHECKPOINT_COPY_S="1000")
    search_id = machines.post()
    machines.wait(search_id, lambda s: s.state == "running" and (s.epoch or 0) >= 2)
    machines.do(lifecycle.pause, search_id)
    paused = machines.wait_state(search_id, "paused", timeout=30)
    assert (paused.attempt, paused.finished_at) == (1, None)
    assert machines.trainers(first) == []
    first.terminate()
    assert first.wait(30) == 0

    assert machines.do(lifecycle.resume, search_id).attempt == 2
    machines.start("home-b")
    assert machines.wait_state(search_id, "succeeded", "failed").state == "succeeded"
    assert machines.bytes_of(search_id) == calm
    kinds = machines.kinds(search_id)
    assert machines.trained_once(search_id), "no epoch was trained twice"
    assert [kind for kind in kinds if kind in ("pausing", "paused", "resumed")] == ["pausing", "paused", "resumed"]


def test_a_frozen_worker_comes_back_while_another_has_published(machines, calm):
    frozen = machines.start("home-a")
    search_id = machines.post()
    machines.wait(search_id, lambda s: s.state == "running" and (s.epoch or 0) >= 2)
    trainers = machines.trainers(frozen)
    freeze(machines, frozen, *trainers)
    machines.start("home-b")
    machines.wait(search_id, lambda s: s.attempt == 2 and s.state == "running")
    machines.wait(search_id, lambda s: s.stage in ("finetune", "compare", "export") or s.state == "succeeded")
    for process in (*trainers, frozen):
        process.send_signal(signal.SIGCONT)
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 2)
    deadline = time.monotonic() + 20
    while machines.trainers(frozen):
        assert time.monotonic() < deadline, "its trainer should be ended"
        time.sleep(0.1)
    assert machines.bytes_of(search_id) == calm
    assert machines.kinds(search_id).count("succeeded") == 1
    assert frozen.poll() is None, "it lives on and takes other searches"


def freeze(machines, *processes):
    """Freeze them outside a transaction: SQLite's only lock, held by a frozen process, would stop everybody."""
    for _ in range(20):
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        wait_stopped(*(process.pid for process in processes))
        if not machines.url.startswith("sqlite"):
            return
        with sqlite3.connect(machines.url.removeprefix("sqlite:///"), isolation_level=None, timeout=0.5) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                return
            except sqlite3.OperationalError:  # locked: let it end what it writes, and try again
                for process in processes:
                    process.send_signal(signal.SIGCONT)
                time.sleep(0.05)
    pytest.fail("the worker was never seen outside a transaction")


def wait_stopped(*pids):
    """Wait for every thread: one inside the kernel ends what it does there first, and that may be to take a lock."""
    deadline = time.monotonic() + 30
    while any(state(path) != "T" for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/stat")):
        assert time.monotonic() < deadline, "not every thread stopped"
        time.sleep(0.01)


def state(stat):
    return stat.read_text().rpartition(")")[2].split()[0]


@pytest.mark.database("sqlite")  # locked as only SQLite can be
def test_a_database_that_is_away_for_a_while_costs_nothing(machines, calm):
    worker = machines.start("home-a")
    search_id = machines.post()
    machines.wait(search_id, lambda s: s.state == "running" and (s.epoch or 0) >= 2)
    machines.start("home-b")  # sweeps too, and must not take it away
    time.sleep(2)
    with sqlite3.connect(machines.url.removeprefix("sqlite:///"), isolation_level=None, timeout=30) as locked:
        locked.execute("BEGIN EXCLUSIVE")
        before = progress(machines.get(search_id))
        time.sleep(6)  # twice the silence after which a worker is taken for dead
        assert progress(machines.get(search_id)) == before
        assert worker.poll() is None
        locked.execute("ROLLBACK")
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 1)
    assert machines.bytes_of(search_id) == calm


def test_a_trainer_that_hangs_past_its_time_limit_is_ended(machines):
    worker = machines.start("home-a", BREGNAS_HANG_S="7")
    search_id = machines.post(budget={"epochs": 10_000, "batch_size": 32, "time_limit_s": 6})
    machines.wait(search_id, lambda s: machines.trainers(worker))
    (trainer,) = machines.trainers(worker)
    trainer.send_signal(signal.SIGSTOP)
    found = machines.wait_state(search_id, "failed", timeout=60)
    assert found.error_code == "time_limit"
    assert "silent for 7 s after its time limit of 6 s" in found.error_message
    assert machines.trainers(worker) == []


def test_a_drained_worker_hands_back_and_the_next_goes_on(machines, calm):
    first = machines.start("home", BREGNAS_CHECKPOINT_S="1000")
    search_id = machines.post()
    machines.wait(search_id, lambda s: s.state == "running" and (s.epoch or 0) >= 2)
    first.terminate()
    machines.wait(search_id, lambda s: s.attempt >= 2, timeout=20)
    assert first.wait(45) == 0
    machines.start("home")
    assert machines.wait_state(search_id, "succeeded", "failed").state == "succeeded"
    assert machines.bytes_of(search_id) == calm
    assert machines.trained_once(search_id), "it went on from the checkpoint of the drain"
    assert "moved" not in machines.kinds(search_id)
