import shutil
from collections.abc import Iterator

import pytest

from ..store.conftest import POSTGRES, engine, look, migrated, post, postgres, url  # noqa: F401 - fixtures
from .workers import Machines


@pytest.fixture
def machines(tmp_path, url) -> Iterator[Machines]:  # noqa: F811
    found = Machines(tmp_path, url)
    yield found
    found.close()


@pytest.fixture(scope="session")
def calm(tmp_path_factory, migrated):  # noqa: F811
    """What an undisturbed run of the search gives."""
    folder = tmp_path_factory.mktemp("calm")
    shutil.copy(migrated, folder / "bregnas.db")
    found = Machines(folder, f"sqlite:///{folder / 'bregnas.db'}")
    try:
        found.start("home")
        search_id = found.post()
        assert found.wait_state(search_id, "succeeded", "failed").state == "succeeded"
        hashes = found.bytes_of(search_id)
        assert hashes
        return hashes
    finally:
        found.close()
