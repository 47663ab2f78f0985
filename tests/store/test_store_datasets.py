"""Rows of uploaded data sets: whose they are, and what keeps them."""

import pytest
from sqlalchemy.exc import IntegrityError

from store import datasets, searches
from store.database import read, write
from store.errors import NotFound


@pytest.fixture
def upload(engine):
    def upload(sha256="a" * 64, **values):
        dataset_id = datasets.id_for_upload()
        given = {
            "dataset_id": dataset_id,
            "name": "mine.zip",
            "sha256": sha256,
            "key": f"datasets/{dataset_id}/{sha256}",
            "size": 100,
            "format": "images",
            "fingerprint": "f" * 64,
            "description": {"shape": [1, 8, 8], "warnings": []},
        }
        with write(engine) as tx:
            return datasets.create(tx, **{**given, **values})

    return upload


@pytest.fixture(autouse=True)
def _empty(engine):
    with write(engine) as tx:
        tx.execute(datasets.datasets.delete())


def test_a_set_is_read_as_it_was_written(engine, upload):
    made = upload()

    with read(engine) as tx:
        assert datasets.get(tx, made.id) == made
        assert datasets.same_file(tx, "a" * 64) == made
    assert datasets.is_dataset_id(made.id)
    assert not datasets.is_dataset_id("digits")


def test_a_tenant_has_a_file_once_and_sees_no_other_s(engine, upload):
    mine, other = upload(), upload(tenant="other")

    with pytest.raises(IntegrityError):
        upload()
    with read(engine) as tx:
        assert [found.id for found in datasets.list_page(tx).items] == [mine.id]
        assert datasets.get(tx, other.id, tenant=None) == other
        with pytest.raises(NotFound):
            datasets.get(tx, other.id)
    with pytest.raises(NotFound), write(engine) as tx:
        datasets.delete(tx, other.id)
    with pytest.raises(NotFound), write(engine) as tx:
        datasets.hold(tx, other.id)


def test_pages_are_newest_first(engine, upload):
    made = [upload(sha256=letter * 64).id for letter in "abc"]

    with read(engine) as tx:
        first = datasets.list_page(tx, limit=2)
        rest = datasets.list_page(tx, limit=2, after=first.items[-1].id)
    assert [row.id for row in first.items + rest.items] == made[::-1]
    assert (first.has_more, rest.has_more) == (True, False)


def test_a_search_keeps_its_set_until_it_is_over(engine, upload, post):
    made = upload()
    search = post(data=made.id)

    with pytest.raises(datasets.InUse, match=search.id), write(engine) as tx:
        datasets.delete(tx, made.id)
    with write(engine) as tx:
        searches.cancel(tx, search.id)
    with write(engine) as tx:
        assert datasets.delete(tx, made.id) == made.key
        assert datasets.existing(tx, [made.id]) == set()
