"""Uploads as people send them: read, said how, and kept in one form."""

import gzip
import io

import numpy as np
import pytest
from PIL import Image

from datasets import upload
from datasets.checking import check

from .files import SIZES, idx, image, npz, pairs, pixels, png, pngs, rgb16, zipped


@pytest.fixture
def checked(tmp_path):
    """Send a file through the process that checks it; the description, and the data set as a search loads it."""

    def send(data: bytes):
        (tmp_path / "upload").write_bytes(data)
        found = check(tmp_path)
        loaded = upload.load(tmp_path / "data.npz", "mine")
        assert loaded.fingerprint == found.fingerprint
        assert len(loaded) == found.description["count"]
        return found.description, loaded

    return send


def many(make, names="{}.png") -> bytes:
    return zipped({names.format(number): make(number) for number in range(10)})


def grey(seed):
    return pixels(8, 8, seed=seed)


def colour(seed, channels=3):
    return pixels(8, 8, channels, seed=seed)


def test_grey_pngs_in_a_folder_come_as_they_are(checked):
    said, data = checked(many(png, "holiday/{}.png"))

    assert (said["kind"], said["shape"], said["count"]) == ("image", [1, 8, 8], 10)
    assert said["splits"] == {"train": 8, "validation": 1, "test": 1}
    np.testing.assert_array_equal(data.x, np.stack([grey(number)[None] for number in range(10)]))
    assert said["range"]["mean"] == pytest.approx(data.x.mean() / 255)
    assert said["warnings"] == []
    assert all(preview.startswith("data:image/png;base64,") for preview in said["previews"])
    assert len(said["previews"]) == 8


def test_colour_and_jpeg(checked):
    said, data = checked(many(lambda n: image(colour(n))))
    of_jpeg, _ = checked(many(lambda n: image(colour(n), "JPEG"), "{}.jpg"))

    np.testing.assert_array_equal(data.x, np.stack([colour(n).transpose(2, 0, 1) for n in range(10)]))
    assert said["shape"] == of_jpeg["shape"] == [3, 8, 8]


def test_16_bit_grey_keeps_its_bits(checked):
    said, data = checked(many(lambda n: image(pixels(8, 8, dtype=np.uint16, seed=n))))

    expected = np.stack([pixels(8, 8, dtype=np.uint16, seed=n)[None] for n in range(10)]) / 65535
    np.testing.assert_allclose(data.x, expected, atol=1e-7)
    assert said["warnings"] == ["10 of 10 images are 16-bit grey and were kept so, as value / 65,535"]


def test_16_bit_colour_is_read_with_8_and_said(checked):
    said, _ = checked(many(rgb16))

    assert said["shape"] == [3, 8, 8]
    assert "10 of 10 images are 16-bit colour and were read with 8 bits" in said["warnings"]


def test_photos_are_turned_as_their_cameras_say(checked):
    shown = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((16, 24), np.uint8))
    stored = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1],
        5: shown.T, 6: np.rot90(shown), 7: shown[::-1, ::-1].T, 8: np.rot90(shown, -1),
    }  # fmt: skip
    exif = {orientation: Image.Exif() for orientation in stored}
    for orientation, tags in exif.items():
        tags[274] = orientation

    def photo(n, turned):
        return image(np.ascontiguousarray(turned) + np.uint8(n), "JPEG", quality=95, exif=exif[n])

    said, data = checked(zipped({f"{n}.jpg": photo(n, turned) for n, turned in stored.items()}))

    assert said["shape"] == [1, 32, 48]
    assert said["warnings"] == ["7 of 8 images were turned as their EXIF says"]
    for n, picture in enumerate(data.x[:, 0].astype(int), 1):
        assert abs(picture - n - shown).max() < 8, n


def test_palettes_are_looked_up(checked):
    said, data = checked(many(lambda n: image(colour(n), mode="P")))

    assert said["shape"] == [3, 8, 8]
    assert said["warnings"] == ["10 of 10 images have a palette and were read as RGB"]
    expected = np.asarray(Image.fromarray(colour(0)).convert("P").convert("RGB"))
    np.testing.assert_array_equal(data.x[0], expected.transpose(2, 0, 1))


def test_transparency_is_drawn_onto_white(checked):
    said, data = checked(
        many(lambda n: image(np.dstack([colour(n), np.zeros((8, 8), np.uint8)])) if n else image(colour(n, 4)))
    )

    assert said["shape"] == [3, 8, 8]
    assert (data.x[1:] == 255).all()
    assert "10 of 10 images have transparency, which was drawn onto white" in said["warnings"]


def test_folders_are_classes(checked):
    said, data = checked(
        zipped({f"{kind}/{n}.png": png(n + 10 * k) for k, kind in enumerate(("cat", "dog")) for n in range(5)})
    )

    assert said["labels"] == {"cat": 5, "dog": 5}
    assert data.y.tolist() == [0] * 5 + [1] * 5


def test_what_macos_and_windows_leave_is_passed_over(checked):
    junk = {"__MACOSX/a/._0.png": b"x", "a/.DS_Store": b"x", "a/Thumbs.db": b"x", "a/._1.png": b"x", "a/": b""}
    said, _ = checked(zipped({**pngs(10, "a/{}.png"), **junk}))

    assert said["count"] == 10
    assert said["labels"] is None


def test_images_are_recognised_by_their_content(checked):
    said, _ = checked(many(png, "{}.txt"))

    assert said["count"] == 10


@pytest.mark.parametrize(
    ("painted", "classes"),
    [
        (lambda n: grey(n) % 3, lambda n: grey(n) % 3),
        (lambda n: (grey(n) > 99) * 255, lambda n: grey(n) > 99),
        (lambda n: grey(n) % 2, lambda n: grey(n) % 2),
    ],
)
def test_masks_come_as_the_classes_of_their_pixels(checked, painted, classes):
    said, data = checked(pairs(painted))

    expected = np.stack([classes(n) for n in range(10)]).astype(np.uint8)
    assert said["pairs"] == {"kind": "mask", "channels": 1, "classes": int(expected.max()) + 1}
    assert said["warnings"] == [f"label/ was read as masks of {expected.max() + 1} classes"]
    assert (said["classes"], said["targets"], said["labels"]) == (None, None, None)
    np.testing.assert_array_equal(data.y, expected)


def test_masks_with_a_palette_or_16_bits_or_in_an_npz_are_the_same(checked):
    wide = {f"label/{n}.png": image((grey(n) > 99).astype(np.uint16) * 65535) for n in range(10)}
    coloured = {}
    for n in range(10):
        mask = Image.fromarray((grey(n) > 99).astype(np.uint8))
        mask.putpalette([9, 9, 9, 255, 0, 0])
        coloured[f"label/{n}.png"] = _png(mask)
    arrays = npz(x=np.stack([grey(n) for n in range(10)]), y=np.stack([grey(n) > 99 for n in range(10)]))

    found = [checked(zipped({**pngs(10, "image/{}.png"), **labels}))[1] for labels in (wide, coloured)]
    found.append(checked(arrays)[1])

    for data in found:
        np.testing.assert_array_equal(data.y, np.stack([grey(n) > 99 for n in range(10)]))
    assert len({data.fingerprint for data in found}) == 1


def _png(made: Image.Image) -> bytes:
    file = io.BytesIO()
    made.save(file, "PNG")
    return file.getvalue()


def test_pairs_of_images(checked):
    said, data = checked(
        zipped({**pngs(10, "image/{}.png"), **{f"label/{n}.png": image(colour(n)) for n in range(10)}})
    )
    of_arrays, _ = checked(npz(x=pixels(10, 8, 8), y=pixels(10, 8, 8, 3) / 255))

    assert said["pairs"] == of_arrays["pairs"] == {"kind": "image", "channels": 3, "classes": None}
    assert said["warnings"] == ["label/ was read as images"]
    assert of_arrays["warnings"] == ["y was read as images"]
    np.testing.assert_array_equal(data.y, np.stack([colour(n).transpose(2, 0, 1) for n in range(10)]))


def test_what_has_few_values_that_are_no_classes_is_an_image_and_said_to_be(checked):
    said, data = checked(pairs(lambda n: grey(n) % 3 * 100))
    of_arrays, same = checked(
        npz(x=np.stack([grey(n) for n in range(10)]), y=np.stack([grey(n) % 3 * 100 for n in range(10)]))
    )

    assert said["pairs"] == of_arrays["pairs"] == {"kind": "image", "channels": 1, "classes": None}
    assert said["warnings"] == ["label/ was read as images: the values 0, 100, 200 are no classes 0 … K-1"]
    assert of_arrays["warnings"] == ["y was read as images: the values 0, 100, 200 are no classes 0 … K-1"]
    assert data.fingerprint == same.fingerprint


def test_images_of_different_sizes_keep_theirs(checked):
    said, data = checked(zipped(SIZES))

    assert said["shape"] == [1, *data.extent("train")]
    assert said["sizes"] == {"smallest": [8, 8], "largest": [10, 8], "in_training": data.extent("train") != (8, 8)}
    assert said["warnings"] == [
        "the images have 3 sizes: 8×8: 8 (such as 0.png); 8×9: 1 (such as 8.png); 8×10: 1 (such as 9.png); "
        "only networks of any image size take them"
    ]
    whole = [pixels(*((8, 8) if n < 8 else (n + 1, 8)), seed=n) for n in range(10)]
    for n in range(10):
        np.testing.assert_array_equal(data.image(n)[0], whole[n])
    flat = np.concatenate([one.ravel() for one in whole]) / 255
    assert said["range"] == pytest.approx({"min": flat.min(), "max": flat.max(), "mean": flat.mean()})


def test_pairs_of_different_sizes_keep_theirs(checked):
    def sized(n):
        return pixels(8 + n % 3, 9, seed=n)

    members = {f"image/{n}.png": image(sized(n)) for n in range(10)}
    _, data = checked(zipped({**members, **{f"masks/{n}.png": image(sized(n) % 2) for n in range(10)}}))

    for n in range(10):
        height, width = data.sizes[n]
        np.testing.assert_array_equal(data.y[n, :height, :width], sized(n) % 2)


def test_an_npz_with_labels_and_one_with_targets(checked):
    labelled, _ = checked(npz(x=pixels(20, 8, 8), y=np.arange(20) % 2))
    table, _ = checked(npz(x=np.random.default_rng(0).normal(size=(20, 3)), y=np.linspace(0, 1, 20)))

    assert labelled["labels"] == {"0": 10, "1": 10}
    assert (table["kind"], table["targets"], table["previews"]) == ("table", 1, [])


def test_idx_plain_and_gzipped(checked):
    raw = idx((10, 8, 8), pixels(10, 8, 8).tobytes())

    plain, zipped_ = checked(raw), checked(gzip.compress(raw))

    assert plain[0]["shape"] == [1, 8, 8]
    assert plain[1].fingerprint == zipped_[1].fingerprint


def test_what_is_odd_is_said(checked):
    x = pixels(10, 8, 8)
    x[1] = x[0]
    said, _ = checked(npz(x=x, y=np.array([0] * 9 + [2])))

    assert said["warnings"] == [
        "1 samples are copies of others; some may stand in training and test alike",
        "1 classes below the largest label have no samples",
        "1 classes have fewer than 3 samples, too few for every split",
    ]


def test_the_same_data_are_kept_as_the_same_bytes(checked, tmp_path):
    checked(many(png))
    first = (tmp_path / "data.npz").read_bytes()
    checked(npz(x=np.stack([grey(n) for n in range(10)])))

    assert (tmp_path / "data.npz").read_bytes() == first
