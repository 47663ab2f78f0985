import asyncio
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.artifacts import CHUNK, ArtifactMissing, Artifacts, Stored, StoreUnavailable
from store.ids import new_id

SEARCH = new_id("srch")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return Artifacts(tmp_path_factory.mktemp("store"))


def read(artifacts: Artifacts, key: str, start: int = 0, end: int | None = None) -> bytes:
    async def collect() -> bytes:
        return b"".join([chunk async for chunk in await artifacts.open(key, start, end)])

    return asyncio.run(collect())


def test_what_is_put_is_found_under_its_hash(artifacts: Artifacts) -> None:
    stored = artifacts.put(SEARCH, 2, b"a network")
    digest = hashlib.sha256(b"a network").hexdigest()
    assert stored == Stored(f"searches/{SEARCH}/2/{digest}", digest, 9)
    assert artifacts.get(stored.key) == b"a network"
    assert artifacts.size(stored.key) == 9
    assert artifacts.put(SEARCH, 2, b"a network") == stored  # the same again is no error


@pytest.mark.parametrize("size", [0, 1, CHUNK, 11 * CHUNK + 3])
def test_a_file_comes_back_as_it_was(artifacts: Artifacts, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    stored = artifacts.put(SEARCH, 1, tmp_path / "file")
    assert artifacts.put(SEARCH, 1, tmp_path / "file") == stored
    assert (stored.sha256, stored.size) == (hashlib.sha256(content).hexdigest(), size)
    assert read(artifacts, stored.key) == content
    artifacts.fetch(stored.key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


@settings(max_examples=20, deadline=None)
@given(content=st.binary(min_size=1, max_size=300), data=st.data())
def test_a_part_is_read_as_of_bytes(artifacts: Artifacts, content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.none() | st.integers(start, len(content)))
    assert read(artifacts, artifacts.put(SEARCH, 1, content).key, start, end) == content[start:end]


def test_what_is_missing_is_named_before_the_first_byte(artifacts: Artifacts, tmp_path: Path) -> None:
    key = f"searches/{SEARCH}/1/{'0' * 64}"
    for call in (artifacts.get, artifacts.size, lambda key: artifacts.fetch(key, tmp_path / "x")):
        with pytest.raises(ArtifactMissing, match=key):
            call(key)
    with pytest.raises(ArtifactMissing, match=key):
        asyncio.run(artifacts.open(key))
    assert list(tmp_path.iterdir()) == []
    artifacts.delete([key])  # already as wished


def test_a_search_is_deleted_with_what_no_row_knows_of(tmp_path: Path) -> None:
    artifacts = Artifacts.default(tmp_path)
    other = artifacts.put(new_id("srch"), 1, b"stays")
    for attempt in (1, 2, 3):
        artifacts.put(SEARCH, attempt, b"goes")
    artifacts.delete([artifacts.put(SEARCH, 1, b"goes first").key])
    artifacts.delete_search(SEARCH)
    files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [other.sha256]


def test_a_key_cannot_leave_the_store(artifacts: Artifacts) -> None:
    with pytest.raises(StoreUnavailable):
        artifacts.get("../secret")


def test_a_store_that_cannot_write_says_so(tmp_path: Path) -> None:
    (tmp_path / "searches").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable):
        Artifacts(tmp_path).put(SEARCH, 1, b"x")
    with pytest.raises(StoreUnavailable):
        Artifacts(tmp_path / "searches")
    with pytest.raises(StoreUnavailable):
        Artifacts("unknown://somewhere")
