"""What a worker tidies up, and above all what it does not touch."""

import os
import threading
import time

import pytest

from store import datasets, searches
from store.artifacts import ArtifactMissing, Artifacts, StoreUnavailable
from store.attempts import Attempt
from store.database import write
from store.layers import Layer
from store.retention import YOUNG_S
from worker import tidy as module
from worker.tidy import keep_tidy, tidy

NOTHING = {"folders": 0, "checkpoints": 0, "objects": 0, "keys": 0}


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def post(engine, runs):
    """A search with a folder on this machine."""

    def post():
        named = {"superstructure": "mlp", "task": "denoise", "data": "digits", "seed": 1, "queue": "cpu"}
        with write(engine) as tx:
            made = searches.create(tx, name=None, spec={}, metadata={}, layers=[Layer("a", 1)], **named)
        (runs / made.id / "1" / "checkpoints").mkdir(parents=True)
        return made.id

    return post


@pytest.fixture
def old(tmp_path):
    """Make an object of the store as old as one must be to be collected."""

    def old(stored):
        at = time.time() - YOUNG_S - 60
        os.utime(tmp_path / "artifacts" / stored.key, (at, at))
        return stored

    return old


def is_there(artifacts, stored):
    try:
        return artifacts.size(stored.key) > 0
    except ArtifactMissing:
        return False


def test_folders_of_searches_that_are_over_or_unknown_go(engine, artifacts, runs, post):
    waiting, running, ended = post(), post(), post()
    Attempt(engine, running, 1).start("w")
    with write(engine) as tx:
        searches.cancel(tx, ended)
    (runs / "of nobody").mkdir()
    (runs / "a file").touch()

    assert tidy(engine, artifacts, runs) == {**NOTHING, "folders": 2}
    assert {path.name for path in runs.iterdir()} == {waiting, running, "a file"}
    assert tidy(engine, artifacts, runs) == NOTHING


def test_a_machine_that_has_run_nothing_has_nothing_to_tidy(engine, artifacts, runs):
    assert tidy(engine, artifacts, runs) == NOTHING
    assert not runs.exists()


def test_copies_of_checkpoints_and_unnamed_objects_go_once_nobody_can_need_them(engine, artifacts, runs, post, old):
    search_id = post()
    attempt = Attempt(engine, search_id, 1)
    attempt.start("w")
    attempt.running()
    copy = old(artifacts.put(search_id, 1, b"checkpoint"))
    attempt.record_checkpoint("search", 1, copy.key)
    unnamed = old(artifacts.put(search_id, 1, b"about to be published"))

    assert tidy(engine, artifacts, runs) == NOTHING, "a worker has it"
    attempt.fail("x", "y")
    young = artifacts.put(search_id, 1, b"young")
    assert tidy(engine, artifacts, runs) == {**NOTHING, "folders": 1, "checkpoints": 1, "objects": 1}
    assert [is_there(artifacts, stored) for stored in (copy, unnamed, young)] == [False, False, True]


def test_files_of_uploads_whose_row_was_never_written_go(engine, artifacts, runs, tmp_path, old):
    file = tmp_path / "x"
    file.write_bytes(b"x")
    named, unnamed, young = (datasets.id_for_upload() for _ in range(3))
    kept, left, under_way = (artifacts.put_dataset(dataset_id, file) for dataset_id in (named, unnamed, young))
    for stored in (kept, left):
        old(stored)
    with write(engine) as tx:
        said = {"name": "x", "sha256": "a" * 64, "size": 1, "format": "npz", "fingerprint": "f" * 64}
        datasets.create(tx, dataset_id=named, key=kept.key, description={}, tenant="somebody", **said)

    assert tidy(engine, artifacts, runs) == {**NOTHING, "objects": 1}
    assert [is_there(artifacts, stored) for stored in (kept, left, under_way)] == [True, False, True]


def test_what_is_away_is_tried_again_at_the_next_interval(engine, artifacts, runs, post, monkeypatch):
    (runs / "of nobody").mkdir(parents=True)
    stop, tried = threading.Event(), threading.Semaphore(0)
    really = module.tidy

    def away_at_first(*given):
        tried.release()
        if away:
            raise away.pop()
        return really(*given)

    away = [StoreUnavailable("away"), OSError("away")]
    monkeypatch.setattr(module, "tidy", away_at_first)
    thread = threading.Thread(target=keep_tidy, args=(engine, artifacts, runs, 0.01, stop))
    thread.start()
    for _ in range(4):  # the last begins when the third is done
        assert tried.acquire(timeout=60)
    stop.set()
    thread.join(60)

    assert not thread.is_alive()
    assert not (runs / "of nobody").exists()
