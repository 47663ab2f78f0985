"""Images as tensors: each split on its own canvas, and crops that keep an image and its partner together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datasets import Dataset
from worker.samples import Samples, Split
from worker.seeds import stream

SPLITS = {"train": np.arange(0, 4), "validation": np.arange(4, 6), "test": np.arange(6, 8)}
BESIDE = 255  # what lies on the canvas beside an image, and must never be seen


def canvas(sizes, channels=1, seed=0):
    """Images of these sizes with pixels below 200, on one canvas."""
    random = np.random.default_rng(seed)
    height, width = np.max(sizes, axis=0)
    x = np.full((len(sizes), channels, height, width), BESIDE, np.uint8)
    for n, (h, w) in enumerate(sizes):
        x[n, :, :h, :w] = random.integers(0, 200, (channels, h, w))
    return x


def the_eight(square):
    """The ways to lay a square, by NumPy."""
    return [np.rot90(start, k, (-2, -1)) for start in (square, np.flip(square, -1)) for k in range(4)]


SIZES = st.lists(st.tuples(st.integers(5, 12), st.integers(5, 12)), min_size=1, max_size=5)


@given(sizes=SIZES, side=st.integers(1, 5), seed=st.integers(0, 999), masks=st.booleans())
def test_a_crop_is_a_square_of_its_image_and_the_same_one_of_its_partner(sizes, side, seed, masks):
    x = canvas(sizes)
    where = np.arange(x[0, 0].size).reshape(x.shape[2:])  # every pixel of the partner says where it is
    y = np.stack([where.astype(np.uint8) if masks else where[None].astype(np.float32)] * len(x))
    split = Split(torch.from_numpy(x), torch.from_numpy(y), torch.tensor(sizes))
    indices = torch.arange(len(sizes)).repeat(2)

    crops, partners = split.crops(indices, side, torch.Generator().manual_seed(seed))

    assert crops.shape == (2 * len(sizes), 1, side, side)
    assert partners.shape == ((2 * len(sizes), side, side) if masks else crops.shape)
    assert partners.dtype == (torch.int64 if masks else torch.float32)
    for n, index in enumerate(indices.tolist()):
        height, width = sizes[index]
        got = (crops[n, 0] * 255).round().numpy(), partners[n].reshape(side, side).numpy()
        assert any(
            np.array_equal(got[0], a) and np.array_equal(got[1], b)
            for top in range(height - side + 1)
            for left in range(width - side + 1)
            for a, b in zip(
                the_eight(x[index, 0, top : top + side, left : left + side]),
                the_eight(y[index].reshape(x.shape[2:])[top : top + side, left : left + side]),
                strict=True,
            )
        )


def test_every_place_and_every_way_to_lay_a_square_is_as_likely_as_any_other():
    image = torch.arange(1, 13, dtype=torch.uint8).reshape(1, 1, 3, 4)
    split = Split(image, None)
    crops, _ = split.crops(torch.zeros(9600, dtype=torch.int64), 2, torch.Generator().manual_seed(0))
    seen, counts = np.unique((crops * 255).round().numpy().reshape(9600, 4), axis=0, return_counts=True)
    assert len(seen) == 6 * 8
    assert abs(counts - 200).max() < 5 * 200**0.5


def test_crops_follow_from_the_stream_alone():
    split = Split(torch.from_numpy(canvas([(9, 9)] * 4)), None)
    indices = torch.tensor([3, 1])

    def drawn(batch):
        return split.crops(indices, 4, stream(1, "search", "crop", 0, batch))[0]

    first = drawn(0)
    drawn(1)
    assert torch.equal(first, drawn(0))
    assert not torch.equal(first, drawn(1))


def test_labels_of_whole_images_go_with_their_crops():
    split = Split(torch.from_numpy(canvas([(9, 9)] * 4)), torch.arange(4))
    assert split.crops(torch.tensor([3, 1]), 4, stream(1))[1].tolist() == [3, 1]


def test_every_split_has_its_own_canvas_and_what_lies_beside_images_is_not_counted():
    sizes = [(6, 6)] * 4 + [(6, 7), (8, 5), (9, 9), (9, 9)]
    x = canvas(sizes, channels=2)
    y = canvas(sizes, channels=3, seed=1)
    samples = Samples(Dataset("mine", x, y, SPLITS, np.array(sizes)))
    train, validation, test = samples.splits.values()

    assert (tuple(train.x.shape), train.sizes) == ((4, 2, 6, 6), None)
    assert (tuple(validation.x.shape), validation.sizes.tolist()) == ((2, 2, 8, 7), [[6, 7], [8, 5]])
    assert (tuple(test.x.shape), test.sizes) == ((2, 2, 9, 9), None)
    assert samples.shape.shape == (2, 6, 6)
    assert samples.shape.sizes.smallest == (6, 5)
    assert not samples.shape.sizes.in_training
    given, partner = validation.batch(torch.tensor([1]))
    assert (given.shape, partner.shape) == ((1, 2, 8, 5), (1, 3, 8, 5))
    assert given.max() < 200 / 255
    with pytest.raises(ValueError, match="different sizes"):
        validation.batch(torch.tensor([0, 1]))
    assert validation.first(2).tolist() == [0]
    assert test.first(2).tolist() == [0, 1]


def test_the_statistics_are_of_the_pixels_that_images_have():
    sizes = [(6, 6), (4, 7), (5, 5), (7, 4), (6, 6), (6, 6), (6, 6), (6, 6)]
    x, y = canvas(sizes, channels=2), canvas(sizes, channels=1, seed=1)
    samples = Samples(Dataset("mine", x, y, SPLITS, np.array(sizes)))
    for values, said in ((x, samples.inputs), (y, samples.outputs)):
        flat = np.concatenate(
            [values[n, :, :h, :w].reshape(len(values[n]), -1) for n, (h, w) in enumerate(sizes[:4])], 1
        )
        assert said.mean.shape == (len(flat), 1, 1)
        np.testing.assert_allclose(said.mean.flatten(), flat.mean(1) / 255, rtol=1e-5)
        np.testing.assert_allclose(said.std.flatten(), flat.std(1) / 255, rtol=1e-5)


def test_masks_have_no_statistics_and_are_no_targets():
    y = np.random.default_rng(0).integers(0, 3, (8, 6, 6)).astype(np.uint8)
    samples = Samples(Dataset("mine", canvas([(6, 6)] * 8), y, SPLITS))
    assert samples.outputs is None
    assert samples.shape.targets is None
    assert samples.shape.pairs.classes == 3
    assert samples.train.batch(torch.tensor([2]))[1].dtype == torch.int64
