"""Searches, workers that die, and workers that wake up: real processes, a real queue."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from store import database, moves, searches
from store.searches import Search

Post = Callable[..., Search]
Look = Callable[[str], Search]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Start a worker with a behaviour of `store_worker.py`."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(worker: str, behaviour: str = "train") -> "subprocess.Popen[bytes]":
        program = Path(__file__).with_name("store_worker.py")
        arguments = [sys.executable, str(program), database_url, worker, "cpu", behaviour, str(tmp_path)]
        processes.append(subprocess.Popen(arguments, stderr=(tmp_path / "errors").open("ab")))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


def log(folder: Path) -> list[str]:
    path = folder / "log"
    return path.read_text().splitlines() if path.exists() else []


def wait(until: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.05)


def history_of(engine: Engine, search_id: str) -> tuple[list[str], list[tuple[str, str | None]], list[int]]:
    """Kinds of events but epochs, worker and outcome of each attempt, and the attempts of its artifacts."""
    with database.read(engine) as tx:
        kinds = [event.kind for event in searches.events(tx, search_id, limit=1000).items if event.kind != "epoch"]
        tried = tx.execute(
            text(
                "SELECT worker, outcome FROM attempts JOIN searches ON number = search WHERE id = :id"
                " ORDER BY attempts.attempt"
            ),
            {"id": search_id},
        ).all()
        published = [artifact.attempt for artifact in searches.artifacts(tx, search_id)]
    return kinds, [(row.worker, row.outcome) for row in tried], published


def test_a_search_of_a_killed_worker_is_run_by_another_and_published_once(
    engine: Engine, post: Post, look: Look, start: Start, tmp_path: Path
) -> None:
    victim = start("victim")
    made = post()
    wait(lambda: look(made.id).epoch, "the first epoch")
    victim.send_signal(signal.SIGKILL)
    victim.wait()

    start("other")
    watch = moves.Watch(engine, 1.0)
    wait(lambda: [watch.sweep()] and look(made.id).attempt == 2, "the move")
    wait(lambda: look(made.id).state == "running", "the second attempt")
    for _ in range(8):
        time.sleep(0.2)
        assert watch.sweep() == []  # the other is heard of
    (tmp_path / "go").touch()
    wait(lambda: look(made.id).state == "succeeded", "the end")

    kinds, tried, published = history_of(engine, made.id)
    assert kinds == ["queued", "starting", "running", "moved", "starting", "running", "succeeded"]
    assert tried == [("victim", "lost"), ("other", "succeeded")]
    assert published == [2]
    assert look(made.id).result == {"by": "other"}


def test_a_worker_frozen_past_its_lease_changes_nothing_when_it_wakes(
    engine: Engine, post: Post, look: Look, start: Start, tmp_path: Path
) -> None:
    frozen = start("frozen")
    made = post()
    wait(lambda: look(made.id).epoch, "the first epoch")
    # Not inside a transaction: on SQLite nobody else could write while it is frozen.
    (tmp_path / "hold").touch()
    time.sleep(0.5)
    frozen.send_signal(signal.SIGSTOP)
    (tmp_path / "hold").unlink()
    watch = moves.Watch(engine, 0.5)
    wait(watch.sweep, "the move")
    start("other")
    wait(lambda: look(made.id).state == "running", "the second attempt")
    (tmp_path / "go").touch()
    wait(lambda: look(made.id).state == "succeeded", "the end")

    frozen.send_signal(signal.SIGCONT)
    wait(lambda: f"lost {made.id} 1" in log(tmp_path), "the frozen one to notice")
    kinds, tried, published = history_of(engine, made.id)
    assert kinds[-1] == "succeeded"
    assert kinds.count("succeeded") == 1
    assert tried == [("frozen", "lost"), ("other", "succeeded")]
    assert published == [2]


def test_a_search_that_died_between_the_queue_and_its_start_is_moved(
    engine: Engine, post: Post, look: Look, start: Start, tmp_path: Path
) -> None:
    hanging = start("hanging", "hang")
    made, behind = post(), post()
    wait(lambda: log(tmp_path), "the search to be taken")
    assert look(made.id).state == "queued"
    hanging.send_signal(signal.SIGKILL)
    hanging.wait()
    watch = moves.Watch(engine, 1.0)
    assert watch.sweep() == []  # taken just now
    assert moves.move_from(engine, "somebody else") == []
    assert [(moved.search_id, moved.attempt) for moved in moves.move_from(engine, "hanging")] == [(made.id, 1)]
    assert look(behind.id).attempt == 1  # it only waits

    # One whose run broke before its start is seen without anybody's help.
    breaking = start("breaking", "break")
    wait(lambda: len(log(tmp_path)) == 3, "both to be tried")
    breaking.send_signal(signal.SIGKILL)
    breaking.wait()
    wait(lambda: [watch.sweep()] and look(behind.id).attempt == 2, "the move of the second")
    wait(lambda: [watch.sweep()] and look(made.id).attempt == 3, "the move of the first")

    (tmp_path / "go").touch()
    start("able")
    wait(lambda: {look(made.id).state, look(behind.id).state} == {"succeeded"}, "both to succeed")


def test_what_was_cancelled_in_the_queue_never_runs_and_a_stop_hands_back(
    engine: Engine, post: Post, look: Look, start: Start, tmp_path: Path
) -> None:
    worker = start("first")
    running, unwanted, unwanted_too = post(), post(), post()
    wait(lambda: look(running.id).epoch, "the first epoch")
    with database.write(engine) as tx:
        searches.cancel(tx, unwanted.id)
    with engine.begin() as tx:  # its entry stays in the queue, as if the process had ended after its commit
        tx.execute(text("UPDATE searches SET state = 'cancelled' WHERE id = :id"), {"id": unwanted_too.id})

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert look(running.id).state == "queued"
    assert look(running.id).attempt == 2
    assert log(tmp_path)[-1] == "stopped first"

    (tmp_path / "go").touch()
    start("second")
    wait(lambda: look(running.id).state == "succeeded", "the search handed back")
    wait(lambda: f"lost {unwanted_too.id} 1" in log(tmp_path), "the entry too many to be refused")
    assert f"start {unwanted.id} 1" not in log(tmp_path)
    assert history_of(engine, unwanted.id) == (["queued", "cancelled"], [], [])
    assert history_of(engine, unwanted_too.id) == (["queued"], [], [])
    assert history_of(engine, running.id)[1] == [("first", "handed_back"), ("second", "succeeded")]


def test_a_running_search_that_is_cancelled_ends_and_frees_its_worker(
    post: Post, look: Look, start: Start, engine: Engine
) -> None:
    start("worker")
    made, following = post(), post()
    wait(lambda: look(made.id).epoch, "the first epoch")
    with database.write(engine) as tx:
        searches.cancel(tx, made.id)
    wait(lambda: look(made.id).state == "cancelled", "the cancellation")
    wait(lambda: look(following.id).state == "running", "the next search")
