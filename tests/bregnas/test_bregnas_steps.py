"""What the client does when things go wrong, without a network: the generators are driven by hand."""

import inspect
import random

import pytest
from httpx_sse import ServerSentEvent
from hypothesis import given
from hypothesis import strategies as st

from app import schemas
from app.architectures import Architecture
from app.dataset_documents import DataSet
from bregnas import (
    APIError,
    AsyncBregnas,
    Bregnas,
    SearchFailed,
    Unreachable,
    WaitTimeout,
    async_client,
    client,
    documents,
)
from bregnas.steps import PATIENCE_S, TRIES, Pause, Reply, Request, retry_after, send, waiting
from bregnas.watching import Watching

GONE = Unreachable("http://x", "refused")


class World:
    """A service and a clock: answers come in order, the last again and again."""

    def __init__(self, *answers) -> None:
        self.answers, self.now, self.asked, self.pauses = list(answers), 0.0, [], []

    def run(self, steps):
        answer = fault = None
        while True:
            try:
                step = steps.throw(fault) if fault else steps.send(answer)
            except StopIteration as done:
                return done.value
            answer = fault = None
            if isinstance(step, Pause):
                assert step.seconds >= 0
                self.now += step.seconds
                self.pauses.append(step.seconds)
                continue
            self.asked.append(step)
            given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            answer, fault = (None, given) if isinstance(given, Exception) else (given, None)

    def wait(self, timeout=None, seed=1, **more):
        return self.run(waiting("srch_1", timeout, clock=lambda: self.now, dice=random.Random(seed), **more))


def search(status: str, etag: str = '"1"', **more) -> Reply:
    document = documents.SearchDocument(id="srch_1", status=status, spec={}, **more)
    return Reply(200, {"etag": etag}, document.model_dump_json().encode())


def problem(status: int, **headers: str) -> Reply:
    said = (
        b'{"code": "busy", "detail": "come again", "request_id": "req_1", "errors": [{"loc": ["a", 0], "msg": "no"}]}'
    )
    return Reply(status, headers, said)


def test_a_request_is_sent_again_with_the_same_key_and_not_for_ever():
    post = Request("POST", "/v1/searches", headers={"Idempotency-Key": "k"})
    world = World(GONE, problem(429), problem(503, **{"retry-after": "7"}), search("queued"))
    assert world.run(send(post)).status == 200
    assert world.asked == [post] * 4
    assert world.pauses[2] >= 7
    lost = World(GONE)
    with pytest.raises(Unreachable):
        lost.run(send(post))
    assert len(lost.asked) == TRIES
    refused = World(problem(422))
    with pytest.raises(APIError) as told:
        refused.run(send(post))
    assert (told.value.code, told.value.request_id, told.value.errors[0].loc) == ("busy", "req_1", ("a", 0))
    assert len(refused.asked) == 1


@given(st.text(max_size=40) | st.floats().map(str))
def test_whatever_retry_after_says_the_wait_is_short(given_):
    assert 0 <= retry_after(Reply(429, {"retry-after": given_})) <= 60


@given(st.integers(1, 60), st.integers(0, 2**32))
def test_polls_are_one_second_apart_at_first_and_fifteen_at_most(polls, seed):
    world = World(*[search("running")] + [Reply(304, {})] * polls, search("succeeded"))
    assert world.wait(seed=seed).status == "succeeded"
    assert 0.8 <= world.pauses[0] <= 1.2
    assert max(world.pauses) <= 15 * 1.2
    assert all(asked.headers == {"If-None-Match": '"1"'} for asked in world.asked[1:])


def test_a_status_that_nobody_knows_is_unfinished_and_a_failure_is_raised_with_its_reason():
    world = World(
        search("dreaming", new_field={"x": 1}), search("failed", error={"code": "layer_died", "message": "m"})
    )
    with pytest.raises(SearchFailed) as told:
        world.wait()
    assert told.value.code == "layer_died"


def test_a_wait_outlives_a_restart_and_keeps_to_its_limit():
    world = World(search("running"), GONE, problem(503), problem(502), GONE, search("succeeded"))
    assert world.wait().status == "succeeded"
    for answer in (search("paused"), GONE, problem(503, **{"retry-after": "50"})):
        world = World(answer)
        with pytest.raises(WaitTimeout):
            world.wait(timeout=20)
        assert world.now == pytest.approx(20)
    world = World(GONE)
    with pytest.raises(Unreachable):
        world.wait()
    assert PATIENCE_S < world.now < PATIENCE_S + 20
    world = World(problem(404))
    with pytest.raises(APIError):
        world.wait()


def sent(number: int, kind: str = "epoch") -> ServerSentEvent:
    return ServerSentEvent(kind, documents.Event(id=number, kind=kind).model_dump_json(), str(number))


def test_a_watch_goes_on_after_what_it_saw_and_shows_nothing_twice():
    watching = Watching("srch_1", after=4)
    assert watching.request().headers["Last-Event-ID"] == "4"
    assert [e.id for e in map(watching.take, [sent(4), sent(5), sent(5), sent(9)]) if e] == [5, 9]
    assert watching.take(ServerSentEvent("x", "no JSON", "10")) is None
    assert watching.broke() < 1
    assert watching.request().headers["Last-Event-ID"] == "9"
    assert watching.take(sent(10, "failed")).kind == "failed"
    assert watching.over
    ended = Watching("srch_1")
    assert ended.refused(Reply(204, {})) == 0
    assert ended.over
    lost = Watching("srch_1")
    assert max(lost.broke(GONE) for _ in range(19)) <= 15 * 1.25
    with pytest.raises(Unreachable):
        lost.broke(GONE)


def public(kind) -> dict[str, list]:
    return {
        name: [(p.name, p.kind, p.default) for p in inspect.signature(value).parameters.values()]
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


@pytest.mark.parametrize("name", ["Searches", "DataSets", "Architectures", "Search"])
def test_both_clients_have_the_same_methods(name):
    blocking, awaited = getattr(client, name), getattr(async_client, f"Async{name}")
    assert public(blocking) == public(awaited)
    assert public(blocking)
    for method in public(blocking):
        assert inspect.getdoc(getattr(blocking, method)) == inspect.getdoc(getattr(awaited, method))
    assert public(Bregnas) == public(AsyncBregnas)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (documents.SearchDocument, schemas.Search),
        (documents.Progress, schemas.Progress),
        (documents.Event, schemas.Event),
        (documents.History, schemas.History),
        (documents.LayerHistory, schemas.LayerHistory),
        (documents.Estimate, schemas.Estimate),
        (documents.EstimatedEpochs, schemas.EstimatedEpochs),
        (documents.PathEntry, schemas.PathEntry),
        (documents.Artifact, schemas.Artifact),
        (documents.Superstructure, schemas.Superstructure),
        (documents.Architecture, Architecture),
        (documents.DataSet, DataSet),
    ],
)
def test_the_client_knows_every_field_that_the_service_answers(ours, theirs):
    assert set(ours.model_fields) == set(theirs.model_fields)
