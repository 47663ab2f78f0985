"""The closed-form linear network against NumPy, SciPy, scikit-learn and gradient descent; sized, exported, scored."""

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from scipy.optimize import minimize
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

import datasets
from datasets import Dataset
from models import onnx, source
from models.network import Network
from spec import macs, parameters
from spec.task import Autoencode, Classify, Deblur, Denoise, Regress
from worker.linear import LARGEST, closed_form
from worker.objective import objective
from worker.samples import Samples
from worker.training import evaluate

SPLITS = ("train", "validation", "test")
IMAGE = (1, 8, 8)
AUTOENCODE = objective(Autoencode(kind="autoencode"))
DENOISE = objective(Denoise(kind="denoise", sigma=0.2))
DEBLUR = objective(Deblur(kind="deblur", kernel_size=5, kernel_sigma=1.5, sigma=0.05))


@pytest.fixture(scope="module")
def digits() -> Samples:
    return Samples(datasets.load("digits", None))


@pytest.fixture(scope="module")
def table() -> Samples:
    """600 rows of 12 features, a constant and a multiple of another among them; 5 targets of very different units."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(600, 12)) * np.logspace(-2, 3, 12) + 7
    x[:, 3], x[:, 5] = 4.0, 4 * x[:, 0].astype(np.float32)  # exact in float32
    y = np.tanh((x - 7) / np.logspace(-2, 3, 12)) @ draw.normal(size=(12, 5)) + draw.normal(size=(600, 5))
    y = y * [1, 1e3, 1e-3, 10, 1] + [0, 1e4, 0, -5, 1]
    order = draw.permutation(600)
    splits = dict(zip(SPLITS, np.split(order, [400, 500]), strict=True))
    return Samples(Dataset("table", x.astype(np.float32), y.astype(np.float32), splits))


def train(samples: Samples) -> np.ndarray:
    x = samples.train.x.flatten(1).double().numpy()
    return x / 255 if samples.train.x.dtype == torch.uint8 else x


def of_rank(task, samples: Samples, rank: int, given=IMAGE, made=IMAGE) -> Network:
    """The network that `rank` hidden neurons allow, found as a service asks for it: by parameters."""
    inputs, outputs = int(np.prod(given)), int(np.prod(made))
    network = closed_form(task, samples, given, made, parameters, rank * (inputs + 1) + outputs * (rank + 1))
    assert network is not None
    assert [node.width for node in network.graph.layers()] == [rank, outputs]
    return network


def outputs(network: Network, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(x).float().reshape(-1, *network.graph.input_shape)).flatten(1).double().numpy()


def least_squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What ordinary least squares fits to the samples themselves; columns in deviations, so that ranks are told."""
    deviations = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    fitted: np.ndarray = LinearRegression().fit(deviations, y).predict(deviations)
    return fitted


@pytest.mark.parametrize("rank", [1, 7, 20])
def test_autoencoding_is_pca(digits, rank):
    x = train(digits)
    pca = PCA(rank, svd_solver="full").fit(x)
    oracle = pca.inverse_transform(pca.transform(x))
    assert np.abs(outputs(of_rank(AUTOENCODE, digits, rank), x) - oracle).max() < 1e-5


@pytest.mark.parametrize("rank", [1, 10, 25])
def test_denoising_is_the_reduced_rank_wiener_filter(digits, rank):
    x = train(digits)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    basis, values = vectors[:, ::-1][:, :rank], values[::-1][:rank]
    noisy = x + 0.2 * np.random.default_rng(1).normal(size=x.shape)
    oracle = x.mean(0) + (noisy - x.mean(0)) @ (basis * values / (values + 0.2**2)) @ basis.T
    assert np.abs(outputs(of_rank(DENOISE, digits, rank), noisy) - oracle).max() < 1e-5


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_regression_is_reduced_rank_least_squares_in_deviations(table, rank):
    x, y = train(table), table.train.y.double().numpy()
    fitted = least_squares(x, y / y.std(0))
    _, _, directions = np.linalg.svd(fitted - fitted.mean(0), full_matrices=False)
    project = directions[:rank].T @ directions[:rank]
    oracle = ((fitted - fitted.mean(0)) @ project + fitted.mean(0)) * y.std(0)
    network = of_rank(objective(Regress(kind="regress"), table.outputs.std), table, rank, (12,), (5,))
    assert np.abs((outputs(network, x) - oracle) / y.std(0)).max() < 1e-4


def test_one_layer_is_taken_where_it_fits_and_is_ordinary_least_squares(table):
    x, y = train(table), table.train.y.double().numpy()
    task = objective(Regress(kind="regress"), table.outputs.std)
    network = closed_form(task, table, (12,), (5,), parameters, 5 * 13)
    assert [node.width for node in network.graph.layers()] == [5]
    assert np.abs((outputs(network, x) - least_squares(x, y)) / y.std(0)).max() < 1e-4
    smaller = closed_form(task, table, (12,), (5,), parameters, 5 * 13 - 1)
    assert [node.width for node in smaller.graph.layers()] == [3, 5]


@pytest.mark.parametrize("task", [DENOISE, DEBLUR], ids=["denoise", "deblur"])
def test_gradient_descent_does_not_beat_it(digits, task):
    """L-BFGS in float64 on the exact expected loss of two factors, from three random starts."""
    pair = task.clean(*digits.train.batch(torch.arange(len(digits.train))))
    given, target = (values.double().flatten(1).numpy() for values in pair)
    x, t = given - given.mean(0), target - target.mean(0)
    cov_x, cov_tx, cov_t = x.T @ x / len(x) + task.sigma**2 * np.eye(64), t.T @ x / len(x), t.T @ t / len(x)
    rank = 5

    def loss(first: np.ndarray, second: np.ndarray) -> float:
        whole = second @ first
        return float(np.trace(cov_t - 2 * whole @ cov_tx.T + whole @ cov_x @ whole.T)) / 64

    def step(flat: np.ndarray) -> tuple[float, np.ndarray]:
        first, second = flat[: rank * 64].reshape(rank, 64), flat[rank * 64 :].reshape(64, rank)
        slope = 2 * (second @ first @ cov_x - cov_tx) / 64
        return loss(first, second), np.concatenate([(second.T @ slope).ravel(), (slope @ first.T).ravel()])

    network = of_rank(task, digits, rank)
    first, second = (network.layer(node).weight.detach().double().numpy() for node in network.graph.layers())
    ours = loss(first / float(network.inputs.std), second)
    for seed in range(3):
        start = np.random.default_rng(seed).normal(size=2 * rank * 64) / 8
        best = minimize(step, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 6000}).fun
        assert ours <= best * (1 + 1e-6)
        assert best < 1.01 * ours  # descent came near enough for the comparison to mean something


@pytest.mark.parametrize("task", [AUTOENCODE, DENOISE, DEBLUR], ids=["autoencode", "denoise", "deblur"])
def test_more_room_gives_a_lower_loss_on_data_not_seen_and_it_is_scored_like_any_network(digits, task):
    losses = [
        evaluate(of_rank(task, digits, rank), task, digits.splits["validation"], 1, "validation").loss
        for rank in (1, 5, 15, 30)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5 * losses[0]


def test_noise_that_is_drawn_costs_what_the_closed_form_says(digits):
    """The expected loss is the mean over the noise: of 40 draws it differs by their spread alone."""
    network = of_rank(DENOISE, digits, 10)
    x = train(digits)
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    expected = (values[10:].sum() + (values[:10] * 0.04 / (values[:10] + 0.04)).sum()) / 64
    drawn = [evaluate(network, DENOISE, digits.train, seed, "n").loss for seed in range(40)]
    assert abs(np.mean(drawn) - expected) < 4 * np.std(drawn) / np.sqrt(40)


def test_directions_that_gain_nothing_get_no_neuron():
    """Images that vary in three ways are autoencoded by three neurons, however many would fit."""
    draw = np.random.default_rng(2)
    ways, amounts = draw.random((3, 20)), draw.random((300, 3)) / 3
    x = (amounts @ ways).reshape(300, 1, 4, 5).astype(np.float32)
    samples = Samples(Dataset("three", x, None, dict(zip(SPLITS, np.split(np.arange(300), [200, 250]), strict=True))))
    network = closed_form(AUTOENCODE, samples, (1, 4, 5), (1, 4, 5), parameters, 9 * 21 + 20 * 10)
    assert [node.width for node in network.graph.layers()] == [3, 20]
    assert evaluate(network, AUTOENCODE, samples.splits["test"], 0, "test").loss < 1e-10


def test_constant_images_are_no_reason_to_fail():
    x = np.full((30, 1, 3, 3), 0.5, np.float32)
    samples = Samples(Dataset("grey", x, None, dict(zip(SPLITS, np.split(np.arange(30), [20, 25]), strict=True))))
    for task in (AUTOENCODE, DENOISE, objective(Deblur(kind="deblur", kernel_size=3, sigma=0.0))):
        for limit in (40, 10_000):
            network = closed_form(task, samples, (1, 3, 3), (1, 3, 3), parameters, limit)
            assert evaluate(network, task, samples.splits["test"], 0, "test").loss < 1e-10


@pytest.mark.parametrize(("size", "first", "cheapest"), [(parameters, 65 + 128, 129), (macs, 128, 128)])
def test_the_rank_is_the_highest_that_fits_and_below_rank_one_there_is_nothing(digits, size, first, cheapest):
    def rank(limit: int) -> int | None:
        network = closed_form(DENOISE, digits, IMAGE, IMAGE, size, limit)
        return None if network is None else next(network.graph.layers()).width

    assert rank(first - 1) is None
    assert rank(first) == 1
    assert rank(first + 8 * cheapest) == 9
    assert rank(first + 9 * cheapest - 1) == 9


def test_there_is_none_for_cross_entropy_nor_for_very_large_images(digits):
    classify = objective(Classify(kind="classify"))
    assert closed_form(classify, digits, IMAGE, (10,), parameters, 10**9) is None
    side = int(LARGEST**0.5) + 1
    assert closed_form(AUTOENCODE, digits, (1, side, side), (1, side, side), parameters, 10**12) is None


@pytest.mark.parametrize("limit", [2_000, 64 * 65])
def test_it_is_exported_like_any_network(digits, tmp_path, limit):
    network = closed_form(DENOISE, digits, IMAGE, IMAGE, parameters, limit)
    x, _ = digits.splits["test"].batch(torch.arange(20))
    with torch.no_grad():
        expected = network.eval()(x).numpy()
    session = onnxruntime.InferenceSession(onnx.export(network, {}), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"input": x.numpy()})[0] - expected).max() < 1e-5
    (tmp_path / "model.py").write_text(source.source(network, "linear"))
    save_file(source.tensors(network), tmp_path / "model.safetensors")
    save_file({"input": x, "output": torch.from_numpy(expected)}, tmp_path / "samples.safetensors")
    run = subprocess.run([sys.executable, "model.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
