from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.ids import is_id, new_id


@given(st.floats(min_value=1.6e9, max_value=4e9))
def test_an_id_is_a_uuid_of_version_7_of_its_moment(seconds: float) -> None:
    made = new_id("srch", seconds)
    assert is_id(made, "srch")
    uuid = UUID(made.removeprefix("srch_"))
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    # within a second: ids never fall behind one made just before
    assert abs((uuid.int >> 80) / 1000 - seconds) <= 1


def test_ids_rise_strictly_where_many_are_made_at_once() -> None:
    made = [new_id("srch") for _ in range(2000)]
    assert made == sorted(set(made))


def test_ids_of_many_threads_are_all_different() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id("srch"), range(2000)))
    assert len(set(made)) == 2000


def test_an_id_of_a_later_moment_sorts_later() -> None:
    assert new_id("srch", 1_900_000_000.5) < new_id("srch", 1_900_000_002.0) < new_id("srch", 1_900_000_009.0)


_REAL = "0193f3a0c1d27a3e9b1f5c2d3e4f5a6b"


@pytest.mark.parametrize(
    "text",
    ["", "srch_", "srch_123", "dset_" + "0" * 32, "dset_" + _REAL, f"srch_{_REAL}\n", f"srch_{_REAL}".upper()],
)
def test_what_is_no_id_is_told(text: str) -> None:
    assert not is_id(text, "srch")
