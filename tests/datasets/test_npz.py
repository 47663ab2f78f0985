import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from datasets import DataInvalid, npz

CAP = 1 << 20


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("npz") / "mine.npz"


def npy(array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


def npy_claiming(header: str, body: bytes = b"", version=(1, 0)) -> bytes:
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + body


def zipped(members, method=zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


@given(
    count=st.integers(1, 5),
    height=st.integers(5, 9),
    width=st.integers(5, 9),
    channels=st.integers(0, 4),
    layout=st.sampled_from(["first", "last"]),
    names=st.sampled_from([("x", "y"), ("image", "label")]),
    fortran=st.booleans(),
    save=st.sampled_from([np.savez, np.savez_compressed]),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_images_in_every_layout_come_back(path, count, height, width, channels, layout, names, fortran, save, seed):
    rng = np.random.default_rng(seed)
    expected = rng.integers(0, 256, (count, max(channels, 1), height, width)).astype(np.uint8)
    stored = expected[:, 0] if channels == 0 else expected if layout == "first" else expected.transpose(0, 2, 3, 1)
    labels = rng.integers(0, 7, count).astype(rng.choice(["u1", ">i2", "i8"]))
    order = np.asfortranarray if fortran else np.ascontiguousarray
    save(path, **{names[0]: order(stored), names[1]: labels})

    head = npz.header(path)
    x, y = npz.read(path)

    assert head["x"].shape == stored.shape
    assert head["y"].dtype == labels.dtype
    assert x.flags.c_contiguous
    assert y.dtype == np.int64
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(y, labels)


@given(
    x=npst.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-9, 9, width=32)),
    targets=st.integers(0, 3),
)
@settings(deadline=None)
def test_tables_with_targets_come_back(path, x, targets):
    members = {"x": x.astype(np.float64)}
    if targets:
        members["y"] = np.arange(len(x) * targets, dtype=np.float64).reshape(len(x), targets)
    np.savez(path, **members)

    read, y = npz.read(path)

    np.testing.assert_array_equal(read, x)
    assert read.dtype == np.float32
    if not targets:
        assert y is None
    else:
        np.testing.assert_array_equal(y, members["y"])


edits = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "repeat", "copy"]), st.floats(0, 1), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def mutated(data: bytes, changes) -> bytes:
    for change, where, value in changes:
        at = int(where * len(data))
        if change == "set":
            data = data[:at] + bytes([value]) + data[at + 1 :]
        elif change == "cut":
            data = data[: len(data) - at // 4]
        elif change == "insert":
            data = data[:at] + bytes([value]) + data[at:]
        elif change == "repeat":
            data = data + data[at:]
        else:  # a stretch from elsewhere
            data = data[:at] + data[value : value + 8] + data[at + 8 :]
    return data


@pytest.mark.filterwarnings("ignore")  # the parser of npy headers warns of odd literals before it gives up
@settings(max_examples=600, deadline=None)
@given(changes=edits, kind=st.sampled_from(["stored", "deflated", "header"]))
def test_a_mutated_file_is_read_or_refused_and_costs_little(path, changes, kind):
    x, y = np.arange(3 * 7 * 7, dtype=np.uint8).reshape(3, 7, 7), np.arange(3)
    if kind == "header":  # a sound zip around a damaged npy: no checksum helps
        path.write_bytes(
            zipped([("x.npy", mutated(npy(x), [(c, w / 2, v) for c, w, v in changes])), ("y.npy", npy(y))])
        )
    else:
        file = io.BytesIO()
        (np.savez if kind == "stored" else np.savez_compressed)(file, x=x, y=y)
        path.write_bytes(mutated(file.getvalue(), changes))

    tracemalloc.start()
    try:
        read, _ = npz.read(path, max_bytes=CAP)
        assert read.nbytes <= CAP
    except DataInvalid as refusal:
        assert str(refusal).isprintable()  # noqa: PT017 - both ends are right ones
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 * CAP


GOOD = np.zeros((4, 8, 8), np.uint8)
HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 8000), }"


def with_flag(data: bytes) -> bytes:
    at = data.index(b"PK\x01\x02") + 8  # the general flags in the directory
    return data[:at] + bytes([data[at] | 1]) + data[at + 1 :]


def with_many_entries() -> bytes:
    return zipped([(f"x{i}.npy", b"") for i in range(1000)])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: b"", "not an npz file"),
        (lambda: npy(GOOD), "not an npz file"),
        (lambda: b"GIF89a" + zipped([("x.npy", npy(GOOD))]), "not an npz file"),
        (lambda: zipped([("x.npy", npy(GOOD))])[:-30], "cut short"),
        (lambda: zipped([("x.npy", npy(GOOD))]) + b"#!/bin/sh", "something follows"),
        (with_many_entries, "zip directory of"),
        (lambda: zipped([("y.npy", npy(np.zeros(4)))]), "holds no x"),
        (lambda: zipped([("x.npy", npy(GOOD)), ("image.npy", npy(GOOD))]), "x twice"),
        (lambda: zipped([("x.npy", npy(GOOD)), ("x.npy", npy(GOOD))]), "x twice"),
        (lambda: zipped([("x_train.npy", npy(GOOD))]), "holds 'x_train'; its members are x and y"),
        (lambda: zipped([("../x.npy", npy(GOOD))]), "holds '../x'"),
        (lambda: zipped([("x.npy", npy(GOOD))], zipfile.ZIP_LZMA), "method that numpy does not write"),
        (lambda: with_flag(zipped([("x.npy", npy(GOOD))])), "encrypted"),
        (lambda: zipped([("x.npy", npy_claiming(HUGE))]), "its header says 8,000,000,000,0"),
        (lambda: zipped([("x.npy", npy_claiming(HUGE.replace("8000", "-8")))]), "shape"),
        (lambda: zipped([("x.npy", npy_claiming(HUGE.replace("|u1", "|O")))]), "never objects"),
        (lambda: zipped([("x.npy", npy_claiming(HUGE.replace("|u1", "<c8")))]), "dtype complex64"),
        (lambda: zipped([("x.npy", npy_claiming(HUGE.replace("|u1", "<U8")))]), "dtype <U8"),
        (lambda: zipped([("x.npy", npy_claiming(HUGE, version=(3, 0)))]), r"npy version \(3, 0\)"),
        (lambda: zipped([("x.npy", npy_claiming("(" * 900))]), "cannot be read"),
        (lambda: zipped([("x.npy", npy_claiming(HUGE + " " * 5000))]), "cannot be read"),
        (lambda: zipped([("x.npy", pickle.dumps({"a": 1}))]), "cannot be read"),
        (lambda: zipped([("x.npy", npy(GOOD) + b"more")]), "damaged"),
        (lambda: zipped([("x.npy", npy(GOOD)[:-1])]), "damaged"),
        (lambda: zipped([("x.npy", npy(np.float64(1)))]), "1 to 4 axes"),
        (lambda: zipped([("x.npy", npy(np.zeros((0, 4))))]), "1 to 4 axes"),
        (lambda: zipped([("x.npy", npy(np.full((4, 4), np.inf)))]), "infinite"),
        (lambda: zipped([("x.npy", npy(GOOD)), ("y.npy", npy(np.zeros(3)))]), "3 entries for 4 samples"),
    ],
)
def test_a_hostile_or_broken_file_is_refused_in_words(tmp_path, build, words):
    path = tmp_path / "hostile.npz"
    path.write_bytes(build())
    with pytest.raises(DataInvalid, match=words):
        npz.read(path)


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, x=np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(DataInvalid, match="never objects"):
        npz.read(path)


def test_a_checksum_that_does_not_match_is_refused(tmp_path):
    path = tmp_path / "flipped.npz"
    data = bytearray(zipped([("x.npy", npy(np.zeros((4, 32, 32), np.uint8)))]))
    data[3000] ^= 1  # a pixel
    path.write_bytes(data)
    assert npz.header(path)["x"].shape == (4, 32, 32)
    with pytest.raises(DataInvalid, match="CRC"):
        npz.read(path)


@pytest.mark.parametrize("honest", [True, False])
def test_a_bomb_is_refused_before_it_unfolds(tmp_path, honest):
    path = tmp_path / "bomb.npz"
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (200, 1024, 1024), }"
    data = bytearray(zipped([("x.npy", npy_claiming(header, bytes(200 << 20)))], zipfile.ZIP_DEFLATED))
    if not honest:  # the directory claims a small member, the header the large one
        at = data.index(b"PK\x01\x02") + 24
        data[at : at + 4] = struct.pack("<I", 5000)
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(DataInvalid, match="at most 67,108,864" if honest else "damaged"):
        npz.read(path, max_bytes=64 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_conversion_takes_about_three_times_the_arrays_at_most(tmp_path):
    path = tmp_path / "wide.npz"
    np.savez(path, x=np.zeros((8, 256, 256, 3)))  # float64, channels last: the dearest way in
    size = 8 * 256 * 256 * 3 * 8
    tracemalloc.start()
    x, _ = npz.read(path, max_bytes=size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert x.shape == (8, 3, 256, 256)
    assert peak < 3 * size
