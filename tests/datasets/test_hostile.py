"""Uploads made to harm, read as the service reads them: refused in words, memory and disk bounded, nothing left."""

import json

import numpy as np
import pytest

from datasets import DataInvalid
from datasets.checking import check

from .files import HOSTILE, MIB, npz, pixels

MOST_MEMORY = 150 * MIB  # 40 MiB of it are Python's, numpy's and Pillow's


@pytest.mark.parametrize("case", HOSTILE)
def test_it_is_refused_in_words_with_memory_and_disk_bounded(tmp_path, case):
    make, words = HOSTILE[case]
    (tmp_path / "upload").write_bytes(make())

    with pytest.raises(DataInvalid, match=words) as refused:
        check(tmp_path)

    assert len(str(refused.value)) < 600
    assert str(tmp_path) not in str(refused.value)
    assert json.loads((tmp_path / "report.json").read_text())["peak_bytes"] < MOST_MEMORY
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "upload"]


def test_what_takes_too_long_is_ended(tmp_path):
    (tmp_path / "upload").write_bytes(npz(x=pixels(10, 8, 8)))

    with pytest.raises(DataInvalid, match=r"more than 0.01 seconds"):
        check(tmp_path, wait_s=0.01)

    assert not (tmp_path / "data.npz").exists()


def test_what_needs_more_memory_than_it_may_is_refused(tmp_path):
    (tmp_path / "upload").write_bytes(npz(x=pixels(20, 3000, 3000, dtype=np.uint16)))

    with pytest.raises(DataInvalid, match="memory"):
        check(tmp_path, memory=400 * MIB)

    assert not (tmp_path / "data.npz").exists()


def test_a_disk_that_takes_no_more_is_no_fault_of_the_file(tmp_path):
    (tmp_path / "upload").write_bytes(npz(x=pixels(10, 8, 8)))
    (tmp_path / "data.npz").mkdir()  # cannot be written

    with pytest.raises(OSError, match="could not be written"):
        check(tmp_path)
