"""The well-known sets of images, against Pillow's own reading; and small folders made like them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import DataInvalid, DataSetMissing, catalogue
from datasets.image_folders import IMAGE_FOLDERS
from datasets.splits import NAMES


def opened(path: Path):
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("name", [entry.name for entry in IMAGE_FOLDERS])
def test_what_is_declared_is_what_is_loaded(need, name):
    root = need(name)
    declared, loaded = catalogue.describe(name, root), catalogue.load(name, root)
    assert loaded.description(declared.source) == declared
    assert sorted(np.concatenate([loaded.splits[split] for split in NAMES])) == list(range(len(loaded)))


def test_bsd400_trains_on_its_own_images_and_tests_on_set12(need):
    root = need("set12") and need("bsd400")
    data = catalogue.load("bsd400", root)

    assert {name: len(indices) for name, indices in data.splits.items()} == {"train": 360, "validation": 40, "test": 12}
    assert data.extent("train") == data.extent("validation") == (180, 180)
    own = sorted((root / "bsd400").iterdir())
    for index in (0, 7, 399):
        np.testing.assert_array_equal(data.image(index)[0], opened(own[index]))
    for index, path in zip(data.splits["test"], sorted((root / "set12").iterdir()), strict=True):
        np.testing.assert_array_equal(data.image(index)[0], opened(path))


def test_membrane_is_split_by_contiguous_slices(need):
    root = need("membrane")
    data = catalogue.load("membrane", root)

    assert [data.splits[name].tolist() for name in NAMES] == [
        list(range(20)), [20, 21, 22, 23], [24, 25, 26, 27, 28, 29],
    ]  # fmt: skip
    for index in (2, 10, 29):  # by number, not by letters
        np.testing.assert_array_equal(data.x[index, 0], opened(root / "membrane" / "image" / f"{index}.png"))
        np.testing.assert_array_equal(data.y[index] * 255, opened(root / "membrane" / "label" / f"{index}.png"))


def test_nuclei_are_the_foreground_whatever_their_number(need):
    root = need("nuclei")
    data = catalogue.load("nuclei", root)

    assert data.pairs.classes == 2
    for index in (0, 100, 333):
        np.testing.assert_array_equal(data.y[index], opened(root / "nuclei" / "label" / f"{index:03}.png") > 0)


def test_photos_are_scikit_learns_in_pieces():
    sklearn = pytest.importorskip("sklearn.datasets", reason="scikit-learn is the oracle")
    data = catalogue.load("photos", None)
    for photo, name in enumerate(("china.jpg", "flower.jpg")):
        whole = sklearn.load_sample_image(name)
        for n, (row, column) in enumerate([(row, column) for row in range(5) for column in range(8)]):
            piece = whole[80 * row : 80 * row + 80, 80 * column : 80 * column + 80]
            np.testing.assert_array_equal(data.x[40 * photo + n].transpose(1, 2, 0), piece)


@pytest.fixture
def nuclei(tmp_path):
    """Twelve images with masks, in a folder like the set's."""
    random = np.random.default_rng(0)
    for folder in ("image", "label"):
        (tmp_path / "nuclei" / folder).mkdir(parents=True)
    for n in range(12):
        image = random.integers(0, 256, (256, 256), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "nuclei" / "image" / f"{n}.png")
        label = (image > 200).astype(np.uint16) * np.uint16(n + 1)
        Image.fromarray(label).save(tmp_path / "nuclei" / "label" / f"{n}.png")
    return tmp_path


def test_a_folder_is_read_without_the_published_one(nuclei):
    data = catalogue.load("nuclei", nuclei)
    assert (data.x.shape, data.y.shape) == ((12, 1, 256, 256), (12, 256, 256))
    np.testing.assert_array_equal(data.y, data.x[:, 0] > 200)


def test_a_label_without_an_image_is_refused_before_a_pixel_is_read(nuclei):
    (nuclei / "nuclei" / "image" / "3.png").unlink()
    with pytest.raises(DataInvalid, match=r"1 images or labels without a partner: 3.png"):
        catalogue.describe("nuclei", nuclei)


def test_images_of_another_size_are_refused(nuclei):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(nuclei / "nuclei" / "image" / "3.png")
    with pytest.raises(DataInvalid, match=r"partner|sizes|256×256"):
        catalogue.load("nuclei", nuclei)


@pytest.mark.parametrize(("root", "words"), [(None, "BREGNAS_DATA is not set"), (Path("/nowhere"), r"lacks bsd400/\*")])
def test_a_set_that_is_not_here_is_refused_in_words(root, words):
    with pytest.raises(DataSetMissing, match=words):
        catalogue.load("bsd400", root)


def test_bsd400_is_not_offered_without_set12(tmp_path):
    (tmp_path / "bsd400").mkdir()
    Image.fromarray(np.zeros((180, 180), np.uint8)).save(tmp_path / "bsd400" / "1.png")
    with pytest.raises(DataSetMissing, match=r"lacks set12/\*.png"):
        catalogue.describe("bsd400", tmp_path)
