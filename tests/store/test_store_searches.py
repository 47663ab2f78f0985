from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from store import database, queue, searches
from store.artifacts import Stored
from store.attempts import Attempt, NewArtifact
from store.errors import NotFound
from store.ids import new_id
from store.searches import Search

Post = Callable[..., Search]
Look = Callable[[str], Search]

POSTED: dict[str, Any] = {
    "name": None,
    "spec": {},
    "metadata": {},
    "layers": [],
    "queue": "cpu",
    "superstructure": "mlp",
    "task": "denoise",
    "data": "digits",
    "seed": 1,
}


def entries(engine: Engine, *attempts: tuple[str, int]) -> set[tuple[str, int]]:
    return set(queue.entries(engine, attempts))


def test_an_accepted_search_is_as_it_was_posted_and_stands_in_the_queue(engine: Engine, post: Post, look: Look) -> None:
    spec = {"superstructure": {"kind": "mlp", "widths": [8, 4, 8]}, "λ": 1e-3}
    made = post(name="small", spec=spec, metadata={"project": "x"}, seed=7, parameters=200, epochs=30)

    found = look(made.id)
    assert found == made
    assert (found.state, found.attempt, found.version) == ("queued", 1, 1)
    assert (found.spec, found.metadata, found.seed, found.parameters) == (spec, {"project": "x"}, 7, 200)
    assert found.layers[0] == {"name": "hidden 1", "width": 8, "active": None}
    assert entries(engine, (made.id, 1)) == {(made.id, 1)}


def test_a_search_that_was_rolled_back_stands_nowhere(engine: Engine, look: Look) -> None:
    made: list[Search] = []

    def break_off() -> None:
        with database.write(engine) as tx:
            made.append(searches.create(tx, **POSTED))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    with pytest.raises(NotFound):
        look(made[0].id)
    assert entries(engine, (made[0].id, 1)) == set()


def test_every_search_stands_on_one_page_whatever_is_added_and_deleted_meanwhile(engine: Engine, post: Post) -> None:
    made = [post().id for _ in range(11)]
    seen: list[str] = []
    after, more = None, True
    while more:
        with database.read(engine) as tx:
            page = searches.list_page(tx, limit=3, after=after)
        seen += [item.id for item in page.items]
        after, more = seen[-1], page.has_more
        post()
        with database.write(engine) as tx:
            searches.delete(tx, seen[-1])  # the very one that the cursor names
    assert seen == made[::-1]


def test_a_list_is_filtered_by_state_and_metadata(engine: Engine, post: Post) -> None:
    odd = {"it's": "1", 'a "quoted" key': "ü", "$.path": "%"}
    one, two = post(metadata={"project": "x", **odd}), post(metadata={"project": "y"})
    with database.write(engine) as tx:
        searches.cancel(tx, two.id)

    def found(**conditions: object) -> list[str]:
        with database.read(engine) as tx:
            return [item.id for item in searches.list_page(tx, **conditions).items]  # type: ignore[arg-type]

    assert found(metadata={"project": "x"}) == [one.id]
    assert found(metadata=odd) == [one.id]
    assert found(metadata={"project": "x", "it's": "2"}) == []
    assert found(metadata={"unknown": "x"}) == []
    assert found(status="cancelled") == [two.id]
    assert found(status="queued", metadata={"project": "y"}) == []
    assert found() == [two.id, one.id]


def test_cancelling_what_is_queued_is_done_at_once_and_takes_it_from_the_queue(
    engine: Engine, post: Post, look: Look
) -> None:
    made = post()
    for _ in range(2):  # the second time changes nothing
        with database.write(engine) as tx:
            assert searches.cancel(tx, made.id).state == "cancelled"
    found = look(made.id)
    assert found.version == 2
    assert found.finished_at is not None
    assert entries(engine, (made.id, 1)) == set()


def test_cancelling_what_runs_tells_its_worker(engine: Engine, post: Post, look: Look) -> None:
    made = post()
    attempt = Attempt(engine, made.id, 1)
    attempt.start("w")
    assert not attempt.cancel_requested()
    for _ in range(2):
        with database.write(engine) as tx:
            assert searches.cancel(tx, made.id).state == "cancelling"
    assert attempt.cancel_requested()
    attempt.cancelled()
    assert look(made.id).state == "cancelled"


def test_a_deletion_leaves_nothing(engine: Engine, post: Post) -> None:
    made, other = post(), post()
    attempt = Attempt(engine, made.id, 1)
    attempt.start("w")
    with pytest.raises(searches.IllegalTransition), database.write(engine) as tx:
        searches.delete(tx, made.id)
    attempt.running()
    attempt.record_epoch(stage="search", epoch=1, active=[1, 2, 3])
    attempt.record_checkpoint("search", 1, "checkpoint key")
    attempt.publish({}, [NewArtifact("bundle.zip", Stored("bundle key", "0" * 64, 3), "x/y")], bundle="bundle.zip")

    with database.write(engine) as tx:
        assert searches.delete(tx, made.id) == ["bundle key", "checkpoint key"]

    with database.read(engine) as tx:
        for table in inspect(tx).get_table_names():
            rows = tx.execute(text(f'SELECT * FROM "{table}"')).all()
            assert made.id not in repr(rows), table
        for table in ("attempts", "epochs", "epoch_counts", "artifacts"):
            assert tx.scalar(text(f"SELECT count(*) FROM {table}")) == 0
        assert tx.scalar(text("SELECT count(*) FROM layers")) == 3
        assert searches.get(tx, other.id) == other


def test_events_are_read_from_a_cursor_on(engine: Engine, post: Post) -> None:
    made = post()
    Attempt(engine, made.id, 1).start("w")
    for number in range(5):
        Attempt(engine, made.id, 1).event("note", {"number": number, "loss": float("nan")})
    seen: list[searches.Event] = []
    more = True
    while more:
        with database.read(engine) as tx:
            page = searches.events(tx, made.id, after=seen[-1].id if seen else 0, limit=3)
        seen += page.items
        more = page.has_more
    assert [event.kind for event in seen] == ["queued", "starting"] + ["note"] * 5
    assert [event.data for event in seen[2:]] == [{"number": number, "loss": None} for number in range(5)]
    assert [event.id for event in seen] == sorted({event.id for event in seen})


def test_what_does_not_exist_is_not_found(engine: Engine) -> None:
    nobody = new_id("srch")
    calls = [searches.get, searches.cancel, searches.delete, searches.history, searches.events, searches.artifacts]
    for call in calls:
        with pytest.raises(NotFound, match=nobody), database.write(engine) as tx:
            call(tx, nobody)


def test_an_artifact_is_found_by_its_name(engine: Engine, post: Post) -> None:
    made = post()
    attempt = Attempt(engine, made.id, 1)
    attempt.start("w")
    attempt.running()
    stored = [NewArtifact(name, Stored(f"key of {name}", "a" * 64, 9), "x/y") for name in ("b", "a")]
    attempt.publish({"winner": "found"}, stored, bundle="b")
    with database.read(engine) as tx:
        assert [item.name for item in searches.artifacts(tx, made.id)] == ["a", "b"]
        assert searches.artifact(tx, made.id, "b").key == "key of b"
        assert searches.get(tx, made.id).bundle_name == "b"
        with suppress(NotFound):
            searches.artifact(tx, made.id, "c")
            pytest.fail("an artifact that is not there")
