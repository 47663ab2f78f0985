import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the well-known sets: `BREGNAS_DATA`, else `../shared/data` beside the repository."""
    named = os.environ.get("BREGNAS_DATA")
    root = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no folder of real data sets: BREGNAS_DATA is {named!r} and {root} is no folder")
    return root


@pytest.fixture(scope="session")
def need(data_root):
    """`need("mnist")` gives the root, or skips and says why where that set is absent."""

    def check(name: str) -> Path:
        if not (data_root / name).is_dir():
            pytest.skip(f"the data set {name} is not in {data_root}")
        return data_root

    return check
