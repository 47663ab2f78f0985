import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from store import database, moves, queue, searches
from store.attempts import Attempt
from store.moves import Moved
from store.searches import Search
from store.states import State

Post = Callable[..., Search]
Look = Callable[[str], Search]


def silence(engine: Engine, seconds: float) -> None:
    """Let the newest sign of life be that old."""
    with database.write(engine) as tx:
        tx.execute(text("UPDATE attempts SET heartbeat_at = heartbeat_at - :s"), {"s": seconds})


def test_only_a_silent_attempt_is_moved(engine: Engine, post: Post, look: Look) -> None:
    silent, heard, waiting = post(), post(), post()
    for search in (silent, heard):
        Attempt(engine, search.id, 1).start("w")
    silence(engine, 60)
    Attempt(engine, heard.id, 1).heartbeat()

    assert moves.move_silent(engine, 45) == [Moved(silent.id, 1, "queued")]
    assert [look(search.id).state for search in (silent, heard, waiting)] == ["queued", "starting", "queued"]
    assert set(queue.entries(engine, [(silent.id, 1), (silent.id, 2), (heard.id, 2)])) == {(silent.id, 2)}
    assert moves.move_silent(engine, 45) == []


def test_many_sweepers_move_a_search_once(engine: Engine, post: Post, look: Look) -> None:
    made = [post() for _ in range(3)]
    for search in made:
        Attempt(engine, search.id, 1).start("w")
    silence(engine, 60)
    moved: list[Moved] = []
    together = threading.Barrier(4)

    def sweep() -> None:
        together.wait()
        moved.extend(moves.move_silent(engine, 45))

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
        moves.move_silent(engine, -1)
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
