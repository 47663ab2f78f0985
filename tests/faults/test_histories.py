"""Random histories of what users, workers and accidents do to searches, against a model in plain Python.

The model is written from the picture in docs and issue, not from the code's own table. BREGNAS_LONG=1 tries 300
histories instead of 60.
"""

import os
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from store import database, lifecycle, moves, queue, searches
from store.artifacts import Stored
from store.attempts import Attempt, AttemptLost, NewArtifact
from store.errors import IllegalTransition

from ..store.conftest import LAYERS

EXAMPLES = 300 if os.environ.get("BREGNAS_LONG") == "1" else 40
BUNDLE = [NewArtifact("b", Stored("key", "0" * 64, 1), "x/y")]
ACTIVE = ("starting", "running", "pausing", "cancelling")
USER = {
    "cancel": {
        "queued": "cancelled", "paused": "cancelled", "cancelled": "cancelled", "cancelling": "cancelling",
        "starting": "cancelling", "running": "cancelling", "pausing": "cancelling",
    },
    "pause": {
        "queued": "paused", "paused": "paused", "pausing": "pausing", "starting": "pausing", "running": "pausing",
    },
    "resume": {"paused": "queued", "queued": "queued", "starting": "starting", "running": "running"},
}  # fmt: skip
WORKER = {
    "take": {"queued": "starting"},
    "train": {"starting": "running"},
    "publish": {"running": "succeeded", "pausing": "succeeded", "cancelling": "cancelled"},
    "fail": {"starting": "failed", "running": "failed", "pausing": "failed", "cancelling": "cancelled"},
    "rest": {"pausing": "paused", "cancelling": "cancelled"},
    "end": {"cancelling": "cancelled"},
    "hand_back": {"starting": "queued", "running": "queued", "pausing": "paused", "cancelling": "cancelled"},
    "checkpoint": {state: state for state in ACTIVE},
    "heartbeat": {state: state for state in ACTIVE},
}
LOST = {"starting": "queued", "running": "queued", "pausing": "paused", "cancelling": "cancelled"}
USER_DEEDS = {"cancel": searches.cancel, "pause": lifecycle.pause, "resume": lifecycle.resume}


@dataclass
class Modelled:
    id: str
    worker: str
    state: str = "queued"
    attempt: int = 1
    stalls: int = 0
    epoch: int = 0
    path: list[str] = field(default_factory=lambda: ["queued"])

    def become(self, state):
        if state != self.state or state == "queued":
            self.path.append(state)
        self.state = state


class Histories(RuleBasedStateMachine):
    engine: database.Engine

    def __init__(self):
        super().__init__()
        self.searches = []

    def teardown(self):
        with database.write(self.engine) as tx:
            tx.execute(text("DELETE FROM searches"))  # nothing of this history is left to the next one's sweeps

    def pick(self, number):
        return self.searches[number % len(self.searches)]

    @rule(priority=st.integers(-100, 100))
    def post(self, priority):
        named = {"superstructure": "mlp", "task": "denoise", "data": "digits", "seed": 1, "queue": "cpu"}
        with database.write(self.engine) as tx:
            made = searches.create(tx, name=None, spec={}, metadata={}, layers=LAYERS, priority=priority, **named)
        self.searches.append(Modelled(made.id, f"worker of {made.id}"))

    @precondition(lambda self: self.searches)
    @rule(number=st.integers(0, 9), deed=st.sampled_from(sorted(USER)))
    def user(self, number, deed):
        one = self.pick(number)
        wanted = USER[deed].get(one.state)
        with database.write(self.engine) as tx:
            if wanted is None:
                with pytest.raises(IllegalTransition):
                    USER_DEEDS[deed](tx, one.id)
                return
            assert USER_DEEDS[deed](tx, one.id).state == wanted
        if deed == "resume" and one.state == "paused":
            one.attempt, one.stalls = one.attempt + 1, 0
        if wanted != one.state:
            one.become(wanted)

    @precondition(lambda self: self.searches)
    @rule(number=st.integers(0, 9), deed=st.sampled_from(sorted(WORKER)), late=st.sampled_from([False, False, True]))
    def worker(self, number, deed, late):
        """What a worker does; or one that was thought dead does, `late`."""
        one = self.pick(number)
        attempt = Attempt(self.engine, one.id, one.attempt - late)
        wanted = None if late else WORKER[deed].get(one.state)
        if wanted is None:
            with pytest.raises(AttemptLost):
                self.do(deed, one, attempt)
            return
        self.do(deed, one, attempt)
        if deed == "checkpoint":
            one.epoch, one.stalls = one.epoch + 1, 0
            return
        if wanted == "queued":
            one.attempt += 1
        if wanted != one.state:
            one.become(wanted)

    def do(self, deed, one, attempt):
        deeds = {
            "take": lambda: attempt.start(one.worker),
            "train": attempt.running,
            "publish": lambda: attempt.publish({}, BUNDLE, bundle="b"),
            "fail": lambda: attempt.fail("code", "message"),
            "rest": attempt.paused,
            "end": attempt.cancelled,
            "hand_back": attempt.hand_back,
            "checkpoint": lambda: attempt.record_checkpoint(
                "search", one.epoch + 1, f"copy {one.epoch}", step=one.epoch + 1
            ),
            "heartbeat": attempt.heartbeat,
        }
        deeds[deed]()

    @precondition(lambda self: self.searches)
    @rule(number=st.integers(0, 9), seen=st.booleans())
    def kill(self, number, seen):
        """Its worker dies, which is seen at once or noticed by its silence; sweeping twice does nothing more."""
        one = self.pick(number)
        if seen:
            moved = moves.move_from(self.engine, one.worker) + moves.move_from(self.engine, one.worker)
        else:
            moved = self.sweep_without(one) + self.sweep_without(one)
        wanted = LOST.get(one.state)
        if wanted == "queued":
            one.stalls += 1
            wanted = "failed" if one.stalls == 3 else "queued"
        assert [(move.search_id, move.state) for move in moved] == ([(one.id, wanted)] if wanted else [])
        if wanted:
            one.attempt += wanted == "queued"
            one.become(wanted)

    def sweep_without(self, silent):
        """Sweep until whoever is not heard of is moved; all others are heard of."""
        now = [0.0]
        watch = moves.Watch(self.engine, 3600, lambda: now[0])
        moved = []
        for now[0] in (0, 1500, 3000, 4500):
            for one in self.searches:
                if one is not silent and one.state in ACTIVE:
                    Attempt(self.engine, one.id, one.attempt).heartbeat()
            moved += watch.sweep()
        return moved

    @invariant()
    def the_database_says_what_the_model_says(self):
        for one in self.searches:
            with database.read(self.engine) as tx:
                found = searches.get(tx, one.id)
                kinds = [event.kind for event in searches.events(tx, one.id, limit=1000).items]
                published = searches.artifacts(tx, one.id)
            assert (found.state, found.attempt) == (one.state, one.attempt), one.path
            ended = one.state in ("succeeded", "failed", "cancelled")
            assert (found.finished_at is not None) == ended
            assert len(published) == kinds.count("succeeded") == (one.state == "succeeded")
            assert sum(kinds.count(kind) for kind in ("succeeded", "failed", "cancelled")) == ended
            if one.state == "queued":
                entry = queue.entries(self.engine, [(one.id, one.attempt)])[one.id, one.attempt]
                assert entry.waiting, "else nobody would ever take it"
            if one.state == "paused":
                assert (one.id, one.attempt + 1) not in queue.entries(self.engine, [(one.id, one.attempt + 1)])


def test_random_histories_are_legal(engine):
    def begin():
        machine = Histories()
        machine.engine = engine
        return machine

    run_state_machine_as_test(
        begin,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=30, deadline=None, database=None, derandomize=True,
            phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
