from collections.abc import Iterator

import pytest

from ..databases import Sqlite
from .workers import Machines


@pytest.fixture
def machines(tmp_path, database_url) -> Iterator[Machines]:
    found = Machines(tmp_path, database_url)
    yield found
    found.close()


@pytest.fixture(scope="session")
def calm(tmp_path_factory):
    """What an undisturbed run of the search gives: hashes, to be met on every database."""
    folder = tmp_path_factory.mktemp("calm")
    with Sqlite(folder).fresh() as url:
        found = Machines(folder, url)
        try:
            found.start("home")
            search_id = found.post()
            assert found.wait_state(search_id, "succeeded", "failed").state == "succeeded"
            hashes = found.bytes_of(search_id)
            assert hashes
            return hashes
        finally:
            found.close()
