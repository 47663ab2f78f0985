from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from store import database, searches
from store.artifacts import Stored
from store.attempts import Attempt, Checkpoint, NewArtifact, Watch
from store.errors import AttemptLost
from store.layers import Layer
from store.searches import Search

Post = Callable[..., Search]
Look = Callable[[str], Search]

BUNDLE = [NewArtifact("bundle.zip", Stored("key", "f" * 64, 10), "application/zip")]


def started(engine: Engine, search: Search, worker: str = "w") -> Attempt:
    attempt = Attempt(engine, search.id, search.attempt)
    attempt.start(worker)
    attempt.running()
    return attempt


def everything(engine: Engine) -> list[Any]:
    with database.read(engine) as tx:
        names = ("searches", "attempts", "layers", "epochs", "epoch_counts", "events", "artifacts")
        return [sorted(map(repr, tx.execute(text(f"SELECT * FROM {name}")))) for name in names]


WRITES: dict[str, Callable[[Attempt], object]] = {
    "start": lambda a: a.start("zombie"),
    "running": lambda a: a.running(),
    "heartbeat": lambda a: a.heartbeat(),
    "record_plan": lambda a: a.record_plan([Layer("x", 1)], parameters=5),
    "progress": lambda a: a.progress(stage="search", eta_s=5.0),
    "record_epoch": lambda a: a.record_epoch(stage="search", epoch=1, active=[0, 0, 0]),
    "record_checkpoint": lambda a: a.record_checkpoint("search", 9),
    "trainer_died": lambda a: a.trainer_died(),
    "event": lambda a: a.event("x", {}),
    "publish": lambda a: a.publish({}, BUNDLE, bundle="bundle.zip"),
    "fail": lambda a: a.fail("x", "y"),
    "cancelled": lambda a: a.cancelled(),
    "hand_back": lambda a: a.hand_back(),
    "cancel_requested": lambda a: a.cancel_requested(),
}


@pytest.mark.parametrize("name", WRITES)
def test_an_attempt_that_was_moved_can_write_nothing(engine: Engine, post: Post, name: str) -> None:
    made = post()
    zombie = started(engine, made, "frozen")
    assert [moved.search_id for moved in Watch(engine, -1).sweep()] == [made.id]
    Attempt(engine, made.id, 2).start("other")
    before = everything(engine)
    with pytest.raises(AttemptLost) as lost:
        WRITES[name](zombie)
    assert (lost.value.state, lost.value.current) == ("starting", 2)
    assert everything(engine) == before


@pytest.mark.parametrize("name", WRITES)
def test_an_attempt_at_a_deleted_search_can_write_nothing(engine: Engine, post: Post, name: str) -> None:
    made = post()
    attempt = started(engine, made)
    attempt.fail("x", "y")
    with database.write(engine) as tx:
        searches.delete(tx, made.id)
    before = everything(engine)
    with pytest.raises(AttemptLost, match="deleted"):
        WRITES[name](attempt)
    assert everything(engine) == before


def test_the_newest_epoch_is_what_a_poll_shows(engine: Engine, post: Post, look: Look) -> None:
    attempt = started(engine, made := post())
    before = look(made.id)
    attempt.record_epoch(
        stage="search",
        epoch=1,
        epochs=30,
        eta_s=12.5,
        active=[8, 3, 8],
        train_loss=0.5,
        validation_loss=float("inf"),
        metrics={"psnr": 20.0, "worst": [float("nan")]},
        parameters=99,
        macs=98,
    )
    found = look(made.id)
    assert found.version > before.version
    assert (found.stage, found.epoch, found.epochs, found.eta_s) == ("search", 1, 30, 12.5)
    assert [layer["active"] for layer in found.layers] == [8, 3, 8]
    assert (found.train_loss, found.validation_loss, found.parameters, found.macs) == (0.5, None, 99, 98)
    assert found.metrics == {"psnr": 20.0, "worst": [None]}


def test_the_history_has_one_item_an_epoch_in_the_order_of_training(engine: Engine, post: Post) -> None:
    attempt = started(engine, made := post())
    attempt.record_epoch(stage="search", epoch=1, active=[8, 4, 8], train_loss=3.0, lam=0.1)
    attempt.record_epoch(stage="search", epoch=2, active=[7, 3, 8], train_loss=2.0, lam=0.2)
    attempt.record_epoch(stage="debias", epoch=1, active=[7, 3, 8], train_loss=1.0)  # "debias" < "search"
    with database.read(engine) as tx:
        history = searches.history(tx, made.id)
    assert history["stages"] == ["search", "search", "debias"]
    assert history["epochs"] == [1, 2, 1]
    assert history["train_loss"] == [3.0, 2.0, 1.0]
    assert history["lam"] == [0.1, 0.2, None]
    assert history["layers"] == [
        {"name": "hidden 1", "width": 8, "searched": True, "active": [8, 7, 7]},
        {"name": "hidden 2", "width": 4, "searched": True, "active": [4, 3, 3]},
        {"name": "output", "width": 8, "searched": False, "active": [8, 8, 8]},
    ]
    assert {len(column) for name, column in history.items() if name != "layers"} == {3}


def test_an_epoch_recorded_again_after_a_resume_is_replaced(engine: Engine, post: Post, look: Look) -> None:
    first = started(engine, made := post())
    for epoch in (1, 2, 3):
        first.record_epoch(stage="search", epoch=epoch, active=[8, 4, 8], train_loss=1.0 / epoch)
    Watch(engine, -1).sweep()
    second = started(engine, look(made.id))
    for epoch in (2, 3, 3):
        second.record_epoch(stage="search", epoch=epoch, active=[epoch, 1, 8], train_loss=-1.0)
    with database.read(engine) as tx:
        history = searches.history(tx, made.id)
    assert history["epochs"] == [1, 2, 3]
    assert history["train_loss"] == [1.0, -1.0, -1.0]
    assert history["layers"][0]["active"] == [8, 2, 3]
    assert look(made.id).layers[0]["active"] == 3


def test_counts_that_do_not_fit_the_plan_are_refused(engine: Engine, post: Post) -> None:
    attempt = started(engine, post())
    before = everything(engine)
    with pytest.raises(ValueError, match="2 counts for 3 layers"):
        attempt.record_epoch(stage="search", epoch=1, active=[1, 2])
    assert everything(engine) == before


def test_a_plan_corrected_by_the_data_is_shown(engine: Engine, post: Post, look: Look) -> None:
    attempt = started(engine, made := post())
    attempt.record_plan([Layer("a", 3), Layer("b", 2)], parameters=11)
    attempt.record_epoch(stage="search", epoch=1, active=[2, 2])
    assert look(made.id).layers == [
        {"name": "a", "width": 3, "active": 2},
        {"name": "b", "width": 2, "active": 2},
    ]


def test_a_result_is_published_once_with_its_files(engine: Engine, post: Post, look: Look) -> None:
    attempt = started(engine, made := post())
    assert attempt.publish({"winner": "found"}, BUNDLE, bundle="bundle.zip")
    found = look(made.id)
    assert (found.state, found.result, found.bundle_sha256) == ("succeeded", {"winner": "found"}, "f" * 64)
    assert found.finished_at is not None
    before = everything(engine)
    with pytest.raises(AttemptLost):
        attempt.publish({"winner": "again"}, BUNDLE, bundle="bundle.zip")
    assert everything(engine) == before


@pytest.mark.parametrize("end", ["publish", "fail"])
def test_a_cancellation_promised_is_kept_though_the_work_has_ended(
    engine: Engine, post: Post, look: Look, end: str
) -> None:
    attempt = started(engine, made := post())
    with database.write(engine) as tx:
        searches.cancel(tx, made.id)
    assert WRITES[end](attempt) is False
    found = look(made.id)
    assert (found.state, found.result, found.error_code, found.bundle_name) == ("cancelled", None, None, None)
    with database.read(engine) as tx:
        assert searches.artifacts(tx, made.id) == []


def test_a_failure_says_why(engine: Engine, post: Post, look: Look) -> None:
    attempt = started(engine, made := post())
    assert attempt.fail("diverged", "lower lr\0")
    found = look(made.id)
    assert (found.state, found.error_code, found.error_message) == ("failed", "diverged", "lower lr")


def test_a_trainer_may_die_until_the_third_time_without_a_new_checkpoint(engine: Engine, post: Post) -> None:
    attempt = started(engine, post())
    assert [attempt.trainer_died(), attempt.trainer_died()] == [False, False]
    attempt.record_checkpoint("search", 5, step=50)
    assert [attempt.trainer_died(), attempt.trainer_died()] == [False, False]
    attempt.record_checkpoint("search", 5, step=51)  # a batch further is further, within one epoch too
    assert [attempt.trainer_died(), attempt.trainer_died()] == [False, False]
    attempt.record_checkpoint("search", 5, step=51)  # no further than before: forgives nothing
    attempt.record_checkpoint("search", 5, "key")  # nor does a copy
    assert attempt.trainer_died()


def test_beginning_again_after_a_later_stage_forgives_nothing(engine: Engine, post: Post) -> None:
    attempt = started(engine, post())
    attempt.record_checkpoint("finetune", 3, step=90)
    assert [attempt.trainer_died(), attempt.trainer_died()] == [False, False]
    attempt.record_checkpoint("search", 1, step=10)
    assert attempt.trainer_died()


def test_the_newest_checkpoint_of_any_attempt_is_what_the_next_goes_on_from(
    engine: Engine, post: Post, look: Look
) -> None:
    attempt = started(engine, made := post())
    assert attempt.last_checkpoint() is None
    attempt.record_checkpoint("search", 5)
    attempt.record_checkpoint("search", 6, "key")
    Watch(engine, -1).sweep()
    second = started(engine, look(made.id))
    assert second.last_checkpoint() == Checkpoint(1, "search", 6, "key")
    Watch(engine, -1).sweep()
    third = started(engine, look(made.id))  # the second wrote none
    assert third.last_checkpoint() == Checkpoint(1, "search", 6, "key")
