import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from store import database, moves, queue, searches
from store.attempts import Attempt
from store.moves import Moved, Watch
from store.searches import Search
from store.states import State

Post = Callable[..., Search]
Look = Callable[[str], Search]


class Steady:
    """A watcher's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_a_silent_attempt_is_moved(engine: Engine, post: Post, look: Look) -> None:
    silent, heard, waiting = post(), post(), post()
    for search in (silent, heard):
        Attempt(engine, search.id, 1).start("w")
    steady = Steady()
    watch = Watch(engine, 45, steady)
    for steady.now in (0, 10, 20, 30, 40, 45):
        assert watch.sweep() == []
    Attempt(engine, heard.id, 1).heartbeat()
    steady.now = 46

    assert watch.sweep() == [Moved(silent.id, 1, "queued")]
    assert [look(search.id).state for search in (silent, heard, waiting)] == ["queued", "starting", "queued"]
    assert set(queue.entries(engine, [(silent.id, 1), (silent.id, 2), (heard.id, 2)])) == {(silent.id, 2)}
    for steady.now in (56, 66, 76, 86):
        assert watch.sweep() == []
    steady.now = 92
    assert watch.sweep() == [Moved(heard.id, 1, "queued")]


@pytest.mark.parametrize("hour", [3600.0, -3600.0])
def test_a_clock_that_is_set_makes_nobody_dead_and_the_dead_not_alive(
    engine: Engine, post: Post, look: Look, hour: float
) -> None:
    dead, alive = post(), post()
    for search in (dead, alive):
        Attempt(engine, search.id, 1).start("w")
    steady = Steady()
    watch = Watch(engine, 45, steady)
    moved: list[Moved] = []
    for steady.now in range(0, 60, 10):
        with database.write(engine) as tx:  # as if the clock that wrote it was another, or is set each time
            tx.execute(
                text("UPDATE attempts SET heartbeat_at = heartbeat_at + :hour"), {"hour": hour * (steady.now == 0)}
            )
        Attempt(engine, alive.id, 1).heartbeat()
        moved += watch.sweep()
    assert moved == [Moved(dead.id, 1, "queued")]


def test_a_watcher_that_was_away_begins_anew(engine: Engine, post: Post) -> None:
    made = post()
    Attempt(engine, made.id, 1).start("w")
    steady = Steady()
    watch = Watch(engine, 45, steady)
    for steady.now in (0, 20, 40, 70, 90, 110):  # 30 s late: who watched was frozen, as perhaps the watched
        assert watch.sweep() == []
    watch.forget()  # the database was away
    for steady.now in (120, 140, 160):
        assert watch.sweep() == []
    steady.now = 170
    assert watch.sweep() == [Moved(made.id, 1, "queued")]


def test_many_sweepers_move_a_search_once(engine: Engine, post: Post, look: Look) -> None:
    made = [post() for _ in range(3)]
    for search in made:
        Attempt(engine, search.id, 1).start("w")
    moved: list[Moved] = []
    together = threading.Barrier(4)

    def sweep() -> None:
        together.wait()
        moved.extend(Watch(engine, -1).sweep())

    sweepers = [threading.Thread(target=sweep) for _ in range(4)]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()
    assert sorted(item.search_id for item in moved) == sorted(search.id for search in made)
    assert [look(search.id).attempt for search in made] == [2, 2, 2]


def test_what_a_dead_worker_had_is_moved_at_once(engine: Engine, post: Post, look: Look) -> None:
    one, two = post(), post()
    Attempt(engine, one.id, 1).start("dead")
    Attempt(engine, two.id, 1).start("alive")
    assert moves.move_from(engine, "dead") == [Moved(one.id, 1, "queued")]
    assert look(two.id).state == "starting"


def test_the_third_loss_without_a_new_checkpoint_ends_a_search_in_words(engine: Engine, post: Post, look: Look) -> None:
    made = post()
    outcomes: list[State] = []
    for number in range(1, 6):
        attempt = Attempt(engine, made.id, number)
        attempt.start("w")
        if number == 2:
            attempt.record_checkpoint("search", 1, step=9)  # forgives the first
        outcomes += [moved.state for moved in moves.move_from(engine, "w")]
        if outcomes[-1] == "failed":
            break
    assert outcomes == ["queued", "queued", "queued", "failed"]
    found = look(made.id)
    assert (found.error_code, found.attempt) == ("worker_lost", 4)
    assert "3 times without a new checkpoint" in str(found.error_message)
    assert queue.entries(engine, [(made.id, number) for number in range(1, 7)]) == {}


def test_a_search_that_kills_every_worker_before_its_start_ends_too(engine: Engine, post: Post, look: Look) -> None:
    made = post()
    for number in (1, 2, 3):
        queue.drop(engine, made.id, number)  # as an entry that is finished without a start
        Watch(engine, -1).sweep()
    assert look(made.id).error_code == "worker_lost"


@pytest.mark.parametrize(("state", "after"), [("cancelling", "cancelled"), ("pausing", "paused")])
def test_the_wish_of_a_user_is_fulfilled_by_a_loss(
    engine: Engine, post: Post, look: Look, state: State, after: State
) -> None:
    made = post()
    Attempt(engine, made.id, 1).start("w")
    with database.write(engine) as tx:
        tx.execute(text("UPDATE searches SET state = :state"), {"state": state})
    assert moves.move_from(engine, "w") == [Moved(made.id, 1, after)]
    assert look(made.id).attempt == 1


def test_handing_back_is_not_counted_as_a_loss(engine: Engine, post: Post, look: Look) -> None:
    made = post()
    for number in range(1, 6):
        attempt = Attempt(engine, made.id, number)
        attempt.start("w")
        assert attempt.hand_back() == Moved(made.id, number, "queued")
    assert look(made.id).attempt == 6
    with database.read(engine) as tx:
        assert tx.scalar(text("SELECT stalls FROM searches")) == 0
        assert "moved" not in [event.kind for event in searches.events(tx, made.id).items]
