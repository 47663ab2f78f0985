import hashlib

import numpy as np
import pytest

from datasets import DataInvalid, Dataset
from datasets.layout import answers, inputs
from datasets.splits import seeded

RNG = np.random.default_rng(0)
SPLITS = seeded(10, 2, 3)


def images(dtype=np.uint8, count=10):
    pixels = RNG.integers(0, 256, (count, 3, 5, 6)).astype(np.uint8)
    return pixels if dtype == np.uint8 else (pixels / 255).astype(dtype)


def test_bytes_become_light_between_zero_and_one():
    x = images()
    x[4, 0, 0, :2] = 0, 255
    data = Dataset("mine", x, np.arange(10) % 4, SPLITS)

    batch = data.batch(np.array([4, 1, 4]))

    assert batch.dtype == np.float32
    assert batch.shape == (3, 3, 5, 6)
    assert batch[0, 0, 0, :2].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(batch, x[[4, 1, 4]].astype(np.float64) / 255, rtol=1e-7)
    batch[:] = 7
    assert data.batch(np.array([4])).max() <= 1  # a batch is the caller's own


def test_it_says_what_it_is():
    labelled = Dataset("mine", images(), np.arange(10) % 4, SPLITS).description("drawn")
    assert (labelled.kind, labelled.shape, labelled.classes, labelled.targets) == ("image", (3, 5, 6), 4, None)
    assert labelled.splits == {"train": 5, "validation": 2, "test": 3}
    assert labelled.value_range == (0.0, 1.0)

    table = Dataset("mine", np.ones((10, 7), np.float32), np.ones((10, 2), np.float32), SPLITS).description("drawn")
    assert (table.kind, table.shape, table.classes, table.targets) == ("table", (7,), None, 2)
    assert table.value_range is None

    bare = Dataset("mine", images(np.float32), None, SPLITS)
    assert (bare.classes, bare.targets, len(bare)) == (None, None, 10)


def test_the_fingerprint_is_that_of_the_contents():
    x, y = images(), np.arange(10) % 4
    first = Dataset("a", x, y, SPLITS).fingerprint

    assert Dataset("another name", x.copy(), y.copy(), SPLITS).fingerprint == first
    changed = x.copy()
    changed[9, 2, 4, 5] ^= 1
    moved = SPLITS | {"test": SPLITS["test"][::-1].copy()}
    others = [
        Dataset("a", changed, y, SPLITS),
        Dataset("a", x, y[::-1].copy(), SPLITS),
        Dataset("a", x, None, SPLITS),
        Dataset("a", x.reshape(10, 3, 6, 5), y, SPLITS),
        Dataset("a", x, y, moved),
    ]
    assert len({first, *(other.fingerprint for other in others)}) == 1 + len(others)


def test_the_fingerprint_follows_its_written_form():
    x = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    digest = hashlib.sha256(b'["x", "|u1", [10, 1, 1, 1]]\n' + bytes(range(10)))
    for name in ("train", "validation", "test"):
        indices = SPLITS[name]
        digest.update(f'["{name}", "<i8", [{len(indices)}]]\n'.encode())
        digest.update(b"".join(int(index).to_bytes(8, "little") for index in indices))
    assert Dataset("a", x, None, SPLITS).fingerprint == digest.hexdigest()


@pytest.mark.parametrize(
    ("x", "y", "splits", "words"),
    [
        (np.zeros((10, 5, 5), np.uint8), None, SPLITS, "images are uint8"),
        (images().astype(np.int16), None, SPLITS, "images are uint8"),
        (images().transpose(0, 2, 3, 1), None, SPLITS, "in memory order"),
        (np.full((10, 2), np.nan, np.float32), None, SPLITS, "NaN"),
        (np.full((10, 1, 2, 2), 1.5, np.float32), None, SPLITS, r"lie in \[0, 1\]"),
        (images(), np.zeros(9, np.int64), SPLITS, "for 10 samples"),
        (images(), np.zeros(10, np.int32), SPLITS, "labels are int64"),
        (images(), np.full((10, 1), np.inf, np.float32), SPLITS, "infinite"),
        (images(), np.full(10, -1), SPLITS, "negative labels"),
        (images(), None, {"train": np.arange(10)}, "validation"),
        (images(), None, SPLITS | {"test": np.array([], np.int64)}, "test must be a filled list"),
        (images(), None, SPLITS | {"test": np.array([10])}, "outside 0 … 9"),
        (images(), None, SPLITS | {"test": SPLITS["train"][:1]}, "twice"),
    ],
)
def test_what_is_no_data_set_is_refused_in_words(x, y, splits, words):
    with pytest.raises(DataInvalid, match=words):
        Dataset("mine", x, y, splits)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ((4, 9, 8), (4, 1, 9, 8)),
        ((4, 9, 8, 3), (4, 3, 9, 8)),
        ((4, 3, 9, 8), (4, 3, 9, 8)),
        ((4, 9, 8, 1), (4, 1, 9, 8)),
        ((4, 6), (4, 6)),
    ],
)
def test_layouts_come_out_with_the_channels_first(stored, expected):
    x = RNG.integers(0, 256, stored).astype(np.uint8)
    brought = inputs(x)
    assert brought.shape == expected
    assert brought.flags.c_contiguous
    if len(stored) == 4 and stored[1] > 4:
        assert brought[2, 0, 5, 6] == x[2, 5, 6, 0]


@pytest.mark.parametrize(
    ("pixels", "value", "dtype"),
    [
        (np.uint8(51), 51, np.uint8),
        (np.bool_(True), 255, np.uint8),
        (np.int64(51), 51, np.uint8),
        (np.uint16(13107), 0.2, np.float32),
        (np.array(13107, ">u2"), 0.2, np.float32),
        (np.float64(0.2), 0.2, np.float32),
        (np.float32(1.00005), 1.0, np.float32),
        (np.float16(-0.00005), 0.0, np.float32),
    ],
)
def test_pixels_of_every_dtype_become_bytes_or_light(pixels, value, dtype):
    brought = inputs(np.full((3, 6, 6), pixels))
    assert brought.dtype == dtype
    assert brought.max() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros(5), "shape"),
        (np.zeros((2, 2, 2, 2, 2)), "shape"),
        (np.zeros((0, 5, 5)), "no values"),
        (np.zeros((2, 3, 9, 3)), "could be channels"),
        (np.zeros((2, 9, 9, 5)), "neither"),
        (np.full((2, 9, 9), np.nan), "NaN"),
        (np.full((2, 9), 1e300), "too large"),
        (np.full((2, 9, 9), 2.0), "scale them to lie between 0 and 1"),
        (np.full((2, 9, 9), -1), "save 0 … 255 as uint8"),
        (np.full((2, 9, 9), 300), "save 0 … 255 as uint8"),
        (np.zeros((2, 9, 9), complex), "dtype"),
        (np.zeros((2, 9, 9), "U3"), "dtype"),
        (np.zeros((2, 9, 9), object), "dtype"),
    ],
)
def test_inputs_that_cannot_be_read_are_refused_in_words(x, words):
    with pytest.raises(DataInvalid, match=words):
        inputs(x)


@pytest.mark.parametrize(
    ("y", "shape", "dtype"),
    [
        (np.array([0, 2, 1], np.uint8), (3,), np.int64),
        (np.array([[0], [2], [1]], np.int32), (3,), np.int64),
        (np.array([True, False, True]), (3,), np.int64),
        (np.array([0.5, 2, 1]), (3, 1), np.float32),
        (np.ones((3, 2)), (3, 2), np.float32),
        (np.ones((3, 2), int), (3, 2), np.float32),
    ],
)
def test_answers_become_labels_or_targets(y, shape, dtype):
    brought = answers(y, 3)
    assert (brought.shape, brought.dtype) == (shape, dtype)
    np.testing.assert_array_equal(brought.ravel(), y.ravel())


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.zeros(4), "4 entries for 3 samples"),
        (np.zeros((3, 2, 2)), "shape"),
        (np.array([0, 1, -1]), "number the classes"),
        (np.array([0, 1, 10**9]), "number the classes"),
        (np.array([0, 1, 2**63], np.uint64), "number the classes"),
        (np.array([0, np.nan, 1]), "NaN"),
        (np.array(["a", "b", "c"]), "dtype"),
    ],
)
def test_answers_that_cannot_be_read_are_refused_in_words(y, words):
    with pytest.raises(DataInvalid, match=words):
        answers(y, 3)
