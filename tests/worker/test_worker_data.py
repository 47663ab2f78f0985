"""Uploaded data reach the trainer's folder, whole or not at all."""

import numpy as np
import pytest

from datasets import upload
from store import datasets
from store.artifacts import Artifacts
from store.database import write
from worker import trainer
from worker.data import fetch, file_of
from worker.failure import SearchFailed
from worker.job import Folder, Job

UNKNOWN = "dset_0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def stored(engine, artifacts, tmp_path):
    """The id of an uploaded set."""
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).integers(0, 256, (10, 8, 8), dtype=np.uint8))
    upload.save(upload.read(tmp_path / "x.npz", "x"), tmp_path / "data.npz")
    dataset_id = datasets.id_for_upload()
    kept = artifacts.put_dataset(dataset_id, tmp_path / "data.npz")
    with write(engine) as tx:
        said = {"name": "x", "sha256": "a" * 64, "size": kept.size, "format": "npz", "fingerprint": "f" * 64}
        datasets.create(tx, dataset_id=dataset_id, key=kept.key, description={}, tenant="somebody", **said)
    return dataset_id


@pytest.fixture
def job(tmp_path):
    def job(data):
        spec = {"superstructure": {"kind": "mlp", "widths": [8]}, "task": {"kind": "autoencode"}, "data": data}
        folder = Folder(tmp_path / "runs")
        folder.create(Job(search_id="srch_1", created_at=0.0, spec=spec, data_file=file_of(data)))
        return folder

    return job


def test_an_uploaded_set_is_fetched_and_loaded(engine, artifacts, stored, job):
    folder = job(stored)
    fetch(stored, folder, engine, artifacts)

    loaded = trainer._data(folder, folder.read_job())

    assert loaded.shape == (1, 8, 8)
    assert {name: len(split) for name, split in loaded.splits.items()} == {"train": 8, "validation": 1, "test": 1}


def test_a_set_that_is_gone_fails_the_search_in_words(engine, artifacts, job):
    folder = job(UNKNOWN)
    fetch(UNKNOWN, folder, engine, artifacts)

    with pytest.raises(SearchFailed, match="no longer there; upload it again"):
        trainer._data(folder, folder.read_job())


def test_a_set_of_the_catalogue_needs_no_file(engine, artifacts, job):
    folder = job("digits")
    fetch("digits", folder, engine, artifacts)

    assert file_of("digits") is None
    assert len(trainer._data(folder, folder.read_job())) == 1797
