"""Every transition that the table does not allow is refused, and every history obeys it."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from store import database, moves, searches
from store.artifacts import Stored
from store.attempts import Attempt, NewArtifact
from store.errors import AttemptLost, IllegalTransition, NotFound
from store.searches import Search
from store.states import ACTIVE, NEXT, STATES, TERMINAL, State, before, is_legal

BUNDLE = [NewArtifact("b", Stored("key", "0" * 64, 1), "x/y")]


def cancel(engine: Engine, search_id: str) -> None:
    with database.write(engine) as tx:
        searches.cancel(tx, search_id)


# What a worker or a user may try, and what the search should then be.
DEEDS: dict[str, Callable[[Engine, Attempt], object]] = {
    "start": lambda engine, attempt: attempt.start(attempt.search_id),
    "running": lambda engine, attempt: attempt.running(),
    "publish": lambda engine, attempt: attempt.publish({}, BUNDLE, bundle="b"),
    "fail": lambda engine, attempt: attempt.fail("code", "message"),
    "cancelled": lambda engine, attempt: attempt.cancelled(),
    "hand_back": lambda engine, attempt: attempt.hand_back(),
    "cancel": lambda engine, attempt: cancel(engine, attempt.search_id),
}

# By hand from the picture in the issue, not from the code's own table: deed → {state: state after it}.
LEGAL: dict[str, dict[State, State]] = {
    "start": {"queued": "starting"},
    "running": {"starting": "running"},
    "publish": {"running": "succeeded", "pausing": "succeeded", "cancelling": "cancelled"},
    "fail": {
        "starting": "failed",
        "running": "failed",
        "pausing": "failed",
        "cancelling": "cancelled",
    },
    "cancelled": {"cancelling": "cancelled"},
    "hand_back": {"starting": "queued", "running": "queued", "pausing": "paused", "cancelling": "cancelled"},
    "cancel": {
        "queued": "cancelled",
        "paused": "cancelled",
        "starting": "cancelling",
        "running": "cancelling",
        "pausing": "cancelling",
        "cancelling": "cancelling",
        "cancelled": "cancelled",
    },
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("deed", DEEDS)
def test_a_deed_is_done_where_it_is_legal_and_else_refused(
    engine: Engine, post: Callable[..., Search], look: Callable[[str], Search], deed: str, state: State
) -> None:
    made = post()
    with database.write(engine) as tx:
        tx.execute(text("UPDATE searches SET state = :state"), {"state": state})
    before_it = look(made.id)
    wanted = LEGAL[deed].get(state)
    if wanted is None:
        with pytest.raises((AttemptLost, IllegalTransition)):
            DEEDS[deed](engine, Attempt(engine, made.id, 1))
        assert look(made.id) == before_it
    else:
        DEEDS[deed](engine, Attempt(engine, made.id, 1))
        assert look(made.id).state == wanted


def test_the_table_is_sound() -> None:
    assert set(NEXT) == set(STATES)
    assert {"cancelled", "succeeded", "failed"} == TERMINAL
    assert not ACTIVE & TERMINAL
    for state in STATES:
        assert before(state) == {other for other in STATES if is_legal(other, state)}
        reachable = {state}
        for _ in STATES:
            reachable |= {following for one in reachable for following in NEXT[one]}
        assert reachable & TERMINAL, f"{state} never ends"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([*DEEDS, "lose", "delete"]), st.booleans()), min_size=4, max_size=16))
def test_any_history_obeys_the_table(
    engine: Engine, post: Callable[..., Search], look: Callable[[str], Search], deeds: list[tuple[str, bool]]
) -> None:
    """Users and workers do what they like, workers of attempts long over among them (`stale`)."""
    made = post()
    state: State = "queued"
    attempt, losses = 1, 0
    for deed, stale in deeds:
        wanted: State | None
        if deed == "delete":
            if state in ("starting", "running", "pausing", "cancelling"):
                with pytest.raises(IllegalTransition):
                    delete(engine, made.id)
                continue
            delete(engine, made.id)
            with pytest.raises(NotFound):
                look(made.id)
            return
        if deed == "lose":
            moved = moves.move_from(engine, made.id)
            wanted = {"starting": "queued", "running": "queued", "cancelling": "cancelled"}.get(state)
            if wanted == "queued":
                losses += 1
                wanted = "failed" if losses == 3 else "queued"
            assert [item.state for item in moved] == ([wanted] if wanted else [])
        else:
            late = stale and deed != "cancel"
            wanted = None if late else LEGAL[deed].get(state)
            worker = Attempt(engine, made.id, attempt - 1 if late else attempt)
            if wanted is None:
                with pytest.raises((AttemptLost, IllegalTransition)):
                    DEEDS[deed](engine, worker)
            else:
                DEEDS[deed](engine, worker)
        if wanted == "queued":
            attempt += 1
        state = wanted or state
        found = look(made.id)
        assert (found.state, found.attempt) == (state, attempt)
        assert (found.finished_at is not None) == (state in ("cancelled", "succeeded", "failed"))
    with database.read(engine) as tx:
        published = searches.artifacts(tx, made.id)
        kinds = [event.kind for event in searches.events(tx, made.id).items]
    assert len(published) == kinds.count("succeeded") == (state == "succeeded")


def delete(engine: Engine, search_id: str) -> None:
    with database.write(engine) as tx:
        searches.delete(tx, search_id)
