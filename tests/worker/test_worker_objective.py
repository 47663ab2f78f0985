"""Tasks: input, target, loss and metric, against formulas in NumPy; what is random follows from the seed."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from spec.task import Autoencode, Classify, Deblur, Denoise, Regress
from worker.objective import objective
from worker.seeds import stream


@pytest.fixture
def images():
    return torch.rand(6, 1, 9, 8, generator=torch.Generator().manual_seed(0))


def test_denoising_adds_noise_of_the_given_strength_and_wants_the_clean_image(images):
    many = images.expand(6, 200, 9, 8)
    given, target = objective(Denoise(kind="denoise", sigma=0.3)).pair(many, None, stream(1, "n"))
    assert torch.equal(target, many)
    assert float((given - many).std()) == pytest.approx(0.3, rel=0.02)


def test_deblurring_blurs_as_scipy_does(images):
    task = Deblur(kind="deblur", kernel_size=5, kernel_sigma=1.3, sigma=0.0)
    given, target = objective(task).pair(images, None, stream(1, "n"))
    line = np.exp(-(np.arange(-2, 3) ** 2) / (2 * 1.3**2))
    kernel = np.outer(line, line) / line.sum() ** 2
    oracle = np.stack([ndimage.correlate(image[0], kernel, mode="mirror") for image in images.double().numpy()])
    assert np.abs(given[:, 0].numpy() - oracle).max() < 1e-6
    assert torch.equal(target, images)


def test_reconstruction_is_scored_by_mse_and_by_the_mean_psnr_of_the_images(images):
    task = objective(Autoencode(kind="autoencode"))
    output = images + torch.linspace(0.1, 0.6, 6).reshape(6, 1, 1, 1)
    errors = np.linspace(0.1, 0.6, 6) ** 2
    assert task.loss(output, images).item() == pytest.approx(errors.mean(), rel=1e-5)
    assert task.measure(output, images).tolist() == pytest.approx((10 * np.log10(1 / errors)).tolist(), rel=1e-4)


def test_classification_is_scored_by_cross_entropy_and_accuracy():
    task = objective(Classify(kind="classify"))
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1, 1])
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    assert task.loss(logits, labels).item() == pytest.approx(-np.log(p[range(3), labels]).mean(), rel=1e-5)
    assert task.measure(logits, labels).tolist() == [1, 1, 0]


def test_regression_is_trained_in_deviations_and_scored_in_the_targets_units():
    task = objective(Regress(kind="regress"), torch.tensor([10.0, 0.1]))
    target = torch.tensor([[100.0, 1.0], [120.0, 2.0]])
    output = target + torch.tensor([[10.0, 0.1], [-10.0, 0.1]])
    assert task.loss(output, target).item() == pytest.approx(1.0, rel=1e-4)
    assert task.measure(output, target).mean().item() == pytest.approx((100 + 0.01) / 2, rel=1e-4)


def test_a_stream_depends_on_its_labels_alone():
    first = torch.rand(5, generator=stream(1, "noise", 3, 4))
    torch.rand(100, generator=stream(1, "noise", 3, 5))
    assert torch.equal(first, torch.rand(5, generator=stream(1, "noise", 3, 4)))
    for other in (stream(2, "noise", 3, 4), stream(1, "order", 3, 4), stream(1, "noise", 34)):
        assert not torch.equal(first, torch.rand(5, generator=other))
