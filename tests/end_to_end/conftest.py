"""A real service for the tests of a file, which share it."""

import pytest

from ..service import serving


@pytest.fixture(scope="module")
def service(tmp_path_factory, databases):
    home = tmp_path_factory.mktemp("home") / "home"
    with databases.fresh(migrated=False) as url, serving(home, BREGNAS_DATABASE_URL=url) as running:
        yield running
