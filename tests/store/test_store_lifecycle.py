"""Pause, resume, priority, requests sent twice, and what is kept no longer."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from store import database, idempotency, lifecycle, moves, queue, retention, searches
from store.artifacts import ArtifactMissing, Artifacts
from store.attempts import Attempt, AttemptLost, NewArtifact
from store.errors import IllegalTransition, NotFound
from store.searches import Search

from ..databases import queue_table
from .conftest import LAYERS

Post = Callable[..., Search]
Look = Callable[[str], Search]


@pytest.fixture(autouse=True)
def _no_keys(engine: Engine) -> None:
    with database.write(engine) as tx:
        tx.execute(text("DELETE FROM idempotency"))


def do(engine: Engine, deed: Callable[..., Search], search_id: str) -> Search:
    with database.write(engine) as tx:
        return deed(tx, search_id)


def kinds(engine: Engine, search_id: str) -> list[str]:
    with database.read(engine) as tx:
        return [event.kind for event in searches.events(tx, search_id).items]


def test_a_search_that_waits_is_paused_at_once_and_resumed_as_the_next_attempt(engine: Engine, post: Post) -> None:
    made = post(priority=7)
    paused = do(engine, lifecycle.pause, made.id)
    assert (paused.state, paused.attempt, paused.finished_at) == ("paused", 1, None)
    assert queue.entries(engine, [(made.id, 1)]) == {}
    assert do(engine, lifecycle.pause, made.id) == paused, "again does no harm"
    with pytest.raises(AttemptLost):  # a worker that had taken the entry in that moment
        Attempt(engine, made.id, 1).start("w")

    resumed = do(engine, lifecycle.resume, made.id)
    assert (resumed.state, resumed.attempt, resumed.priority) == ("queued", 2, 7)
    assert set(queue.entries(engine, [(made.id, 1), (made.id, 2)])) == {(made.id, 2)}
    assert do(engine, lifecycle.resume, made.id) == resumed
    assert kinds(engine, made.id) == ["queued", "paused", "resumed"]


def test_a_worker_is_told_to_pause_and_the_search_goes_on_from_its_checkpoint(
    engine: Engine, post: Post, look: Look
) -> None:
    made = post()
    attempt = Attempt(engine, made.id, 1)
    attempt.start("w")
    attempt.running()
    assert attempt.wish() is None
    assert do(engine, lifecycle.pause, made.id).state == "pausing"
    assert attempt.wish() == "pausing"
    with pytest.raises(IllegalTransition):
        do(engine, lifecycle.resume, made.id)
    attempt.record_checkpoint("search", 4)
    assert attempt.record_checkpoint("search", 4, "key of the copy") == []
    assert attempt.paused()
    assert (look(made.id).state, look(made.id).finished_at) == ("paused", None)
    with pytest.raises(AttemptLost):
        attempt.heartbeat()

    do(engine, lifecycle.resume, made.id)
    following = Attempt(engine, made.id, 2)
    following.start("another")
    found = following.last_checkpoint()
    assert found is not None
    assert (found.stage, found.epoch, found.key) == ("search", 4, "key of the copy")
    assert following.record_checkpoint("search", 5, "a newer one") == ["key of the copy"]


def test_who_cancels_what_is_being_paused_gets_it_cancelled(engine: Engine, post: Post, look: Look) -> None:
    made = post()
    attempt = Attempt(engine, made.id, 1)
    attempt.start("w")
    do(engine, lifecycle.pause, made.id)
    do(engine, searches.cancel, made.id)
    assert not attempt.paused()
    assert look(made.id).state == "cancelled"
    for deed in (lifecycle.pause, lifecycle.resume):
        with pytest.raises(IllegalTransition):
            do(engine, deed, made.id)


def test_the_higher_priority_is_taken_first_also_after_a_move(engine: Engine, post: Post) -> None:
    made = {priority: post(priority=priority) for priority in (0, -100, 100, 5)}
    Attempt(engine, made[100].id, 1).start("w")
    moves.move_from(engine, "w")
    assert waiting(engine) == [f"{made[100].id}:2", *(f"{made[priority].id}:1" for priority in (5, 0, -100))]


def test_who_was_taken_before_keeps_its_place(engine: Engine, post: Post) -> None:
    handed_back, moved, paused, later, urgent = (post(priority=priority) for priority in (0, 0, 0, 0, 1))
    for search in (handed_back, moved, paused):
        Attempt(engine, search.id, 1).start("w" if search is moved else "v")
    assert moves.hand_back(engine, handed_back.id, 1)
    assert moves.move_from(engine, "w")
    do(engine, lifecycle.pause, paused.id)
    Attempt(engine, paused.id, 1).paused()
    do(engine, lifecycle.resume, paused.id)

    before = {f"{search.id}:1" for search in (handed_back, moved, paused)}  # DBOS itself gave these to nobody, here
    first, *again, last = (name for name in waiting(engine) if name not in before)
    assert (first, last) == (f"{urgent.id}:1", f"{later.id}:1")
    assert set(again) == {f"{search.id}:2" for search in (handed_back, moved, paused)}


def waiting(engine: Engine) -> list[str]:
    """Entries in the order in which DBOS takes them."""
    queue = queue_table(engine)
    order = f"SELECT workflow_uuid FROM {queue} WHERE status = 'ENQUEUED' ORDER BY priority, created_at"
    with database.read(engine) as tx:
        return list(tx.scalars(text(order)))


def create(tx: database.Connection) -> Search:
    named = {"superstructure": "mlp", "task": "denoise", "data": "digits", "seed": 1, "queue": "cpu"}
    return searches.create(tx, name=None, spec={}, metadata={}, layers=LAYERS, **named)  # type: ignore[arg-type]


def test_requests_with_one_key_at_the_same_time_make_one_search(engine: Engine) -> None:
    together = threading.Barrier(6)
    made: list[tuple[Search, bool]] = []

    def request() -> None:
        together.wait()
        with database.write(engine) as tx:
            made.append(idempotency.once(tx, "key", "a" * 64, create))

    threads = [threading.Thread(target=request) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({search.id for search, _ in made}) == 1
    assert sorted(is_new for _, is_new in made) == [False] * 5 + [True]
    with database.read(engine) as tx:
        assert tx.scalar(text("SELECT count(*) FROM searches")) == 1

    with database.write(engine) as tx, pytest.raises(idempotency.Mismatch):
        idempotency.once(tx, "key", "b" * 64, create)
    with database.write(engine) as tx:
        assert idempotency.once(tx, "key", "b" * 64, create, tenant="another")[1], "keys belong to a tenant"


def test_a_key_whose_transaction_failed_was_not_used_and_an_old_one_is_forgotten(engine: Engine) -> None:
    def fail(tx: database.Connection) -> Search:
        raise NotFound("data")

    with pytest.raises(NotFound), database.write(engine) as tx:
        idempotency.once(tx, "fresh", "a" * 64, fail)
    with database.write(engine) as tx:
        first, is_new = idempotency.once(tx, "fresh", "b" * 64, create)
    assert is_new
    idempotency.forget(engine)
    with database.write(engine) as tx:
        assert idempotency.once(tx, "fresh", "b" * 64, create) == (first, False)
        tx.execute(text("UPDATE idempotency SET created_at = created_at - 90000"))
    assert idempotency.forget(engine) >= 1
    with database.write(engine) as tx:
        assert idempotency.once(tx, "fresh", "b" * 64, create)[1]


def test_only_what_nobody_needs_is_collected(engine: Engine, post: Post, tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    ended, running, waiting = (post() for _ in range(3))
    attempts = [Attempt(engine, search.id, 1) for search in (ended, running)]
    for attempt in attempts:
        attempt.start("w")
        attempt.running()
    copies = [artifacts.put(attempt.search_id, 1, b"checkpoint") for attempt in attempts]
    for attempt, copy in zip(attempts, copies, strict=True):
        attempt.record_checkpoint("search", 1, copy.key)
    bundle = artifacts.put(ended.id, 1, b"bundle")
    attempts[0].publish({}, [NewArtifact("b", bundle, "x/y")], bundle="b")
    left = artifacts.put(ended.id, 1, b"nobody named it")
    under_way = artifacts.put(running.id, 1, b"about to be published")
    unknown = artifacts.put("srch_of_nobody", 1, b"deleted long ago")

    assert retention.over(engine, [ended.id, running.id, waiting.id, "unknown"]) == {ended.id, "unknown"}
    assert retention.drop_copies(engine, artifacts) == 1
    assert retention.collect(engine, artifacts) == 0, "all of it is young"
    assert retention.collect(engine, artifacts, young_s=-60) == 2
    for kept in (copies[1], bundle, under_way):
        assert artifacts.size(kept.key)
    for gone in (copies[0], left, unknown):
        with pytest.raises(ArtifactMissing):
            artifacts.size(gone.key)
