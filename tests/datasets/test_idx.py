import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from datasets import DataInvalid, idx

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
CAP = 1 << 20


def written(array: np.ndarray) -> bytes:
    """An independent writer, after the format's description."""
    head = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "images-idx3-ubyte.gz"


arrays = st.sampled_from(sorted(CODES)).flatmap(
    lambda dtype: npst.arrays(np.dtype(dtype), npst.array_shapes(min_dims=1, max_dims=4, max_side=6))
)


@settings(deadline=None)
@given(array=arrays, zipped=st.booleans())
def test_what_is_written_is_read(path, array, zipped):
    path.write_bytes(gzip.compress(written(array), 1) if zipped else written(array))

    assert idx.header(path).shape == array.shape
    read = idx.read(path)

    assert read.dtype == array.dtype
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)


edits = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "repeat"]), st.floats(0, 1), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def mutated(data: bytes, changes) -> bytes:
    """`data` with bytes set, its end cut, bytes inserted or doubled; most changes fall on the first bytes."""
    for change, where, value in changes:
        at = int(where**3 * len(data))
        if change == "set":
            data = data[:at] + bytes([value]) + data[at + 1 :]
        elif change == "cut":
            data = data[: len(data) - at]
        elif change == "insert":
            data = data[:at] + bytes([value]) + data[at:]
        else:
            data = data + data[at:]
    return data


@settings(max_examples=400, deadline=None)
@given(changes=edits, zipped=st.booleans(), outside=st.booleans())
def test_a_mutated_file_is_read_or_refused_and_costs_little(path, changes, zipped, outside):
    data = written(np.arange(3 * 7 * 7, dtype=np.uint8).reshape(3, 7, 7))
    if zipped:
        data = mutated(gzip.compress(data, 6), changes) if outside else gzip.compress(mutated(data, changes), 6)
    else:
        data = mutated(data, changes)
    path.write_bytes(data)

    tracemalloc.start()
    try:
        array = idx.read(path, max_bytes=CAP)
        assert array.nbytes <= CAP
    except DataInvalid as refusal:
        assert path.name in str(refusal)  # noqa: PT017 - both ends are right ones
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 * CAP


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not begin with two zero bytes"),
        (b"\0\0\x08", "does not begin with two zero bytes"),
        (b"PK\x03\x04 something", "does not begin with two zero bytes"),
        (b"\0\0\x0a\x01\0\0\0\x01x", "IDX type 0x0A"),
        (b"\0\0\x08\x00", "0 axes"),
        (b"\0\0\x08\x07" + bytes(28), "7 axes"),
        (b"\0\0\x08\x03\0\0\0\x02\0\0", "ends inside its header"),
        (b"\0\0\x08\x02\0\0\0\x02\0\0\0\0", "no values"),
        (b"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02" + bytes(7), "cut short.*8 bytes.*7 follow"),
        (b"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02" + bytes(9), "goes on after the 8 bytes"),
        (b"\0\0\x0e\x04" + b"\xff" * 16, "at most"),
        (b"\x1f\x8b", "cannot be read"),
        (b"\x1f\x8b" + bytes(40), "cannot be read"),
        (gzip.compress(written(np.zeros((9, 9), np.uint8)), mtime=0)[:-12], "cannot be read"),
    ],
)
def test_a_broken_file_is_refused_in_words(tmp_path, data, words):
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(DataInvalid, match=words):
        idx.read(path)


def test_a_bomb_costs_no_more_than_its_header_allows(tmp_path):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", 1) as file:  # 200 MB of zeros behind a header that promises 100 bytes
        file.write(b"\0\0\x08\x01\0\0\0\x64")
        for _ in range(200):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(DataInvalid, match="goes on after the 100 bytes"):
        idx.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_header_that_promises_much_costs_what_is_there(tmp_path):
    path = tmp_path / "liar"
    path.write_bytes(b"\0\0\x08\x03" + struct.pack(">III", 1024, 1024, 1024) + bytes(1000))
    tracemalloc.start()
    with pytest.raises(DataInvalid, match="cut short"):
        idx.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_file_that_is_not_there_is_refused_without_the_servers_path(tmp_path):
    with pytest.raises(DataInvalid, match=r"nothing-here cannot be read \(No such file"):
        idx.read(tmp_path / "nothing-here")
    with pytest.raises(DataInvalid) as refusal:
        idx.header(tmp_path / "nothing-here")
    assert str(tmp_path) not in str(refusal.value)
