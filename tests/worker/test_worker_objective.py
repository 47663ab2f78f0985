"""Tasks: input, target, loss and metric, against formulas in NumPy; what is random follows from the seed."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from spec.task import Autoencode, Classify, Deblur, Denoise, Regress, Segment, SuperResolve, Translate
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


@pytest.mark.parametrize(("size", "factor"), [((12, 16), 2), ((13, 9), 2), ((24, 21), 3)])
def test_what_is_to_be_super_resolved_is_what_pil_makes_of_it(size, factor):
    images = torch.rand(3, 2, *size, generator=torch.Generator().manual_seed(1))
    given, target = objective(SuperResolve(kind="super_resolve", factor=factor)).pair(images, None, stream(1, "n"))

    small = (-(-size[1] // factor), -(-size[0] // factor))  # width first
    for image, ours in zip(images.flatten(0, 1), given.flatten(0, 1), strict=True):
        reduced = Image.fromarray(image.numpy()).resize(small, Image.Resampling.BICUBIC)
        oracle = np.asarray(reduced.resize((size[1], size[0]), Image.Resampling.BICUBIC))
        assert np.abs(ours.numpy() - oracle.clip(0, 1)).max() < 1e-6
    assert torch.equal(target, images)


def test_translation_wants_the_partner_as_it_is(images):
    task = objective(Translate(kind="translate"))
    partners = 1 - images
    given, target = task.pair(images, partners, stream(1, "n"))
    assert torch.equal(given, images)
    assert torch.equal(target, partners)
    assert (task.metric, task.squared, task.paired) == ("psnr", True, True)


def overlaps(named, true, classes):
    """Dice and IoU by image and class, from sets of pixels."""
    dice, iou = np.ones((len(named), classes)), np.ones((len(named), classes))
    for n, (a, b) in enumerate(zip(named, true, strict=True)):
        for k in range(classes):
            one, other = set(np.flatnonzero(a == k)), set(np.flatnonzero(b == k))
            if one or other:
                dice[n, k] = 2 * len(one & other) / (len(one) + len(other))
                iou[n, k] = len(one & other) / len(one | other)
    return dice, iou


@pytest.mark.parametrize("classes", [2, 4])
def test_segmentation_is_scored_by_the_overlap_of_every_class_in_every_image(classes):
    task = objective(Segment(kind="segment"))
    random = torch.Generator().manual_seed(classes)
    logits = torch.randn(5, classes, 7, 6, generator=random)
    masks = torch.randint(classes, (5, 7, 6), generator=random)
    masks[0] = 0
    logits[0, 0] += 100  # nothing but background, in both
    dice, iou = overlaps(logits.argmax(1).numpy(), masks.numpy(), classes)

    assert task.measure(logits, masks).numpy() == pytest.approx(dice[:, 1:].mean(1))
    details = task.details(logits, masks)
    assert details["iou"].numpy() == pytest.approx(iou[:, 1:].mean(1))
    for k in range(classes):
        assert details[f"dice_{k}"].numpy() == pytest.approx(dice[:, k])
        assert details[f"iou_{k}"].numpy() == pytest.approx(iou[:, k])
    assert dice[0, 1:].tolist() == [1] * (classes - 1)
    assert len(details) == 1 + 2 * classes


def test_the_loss_of_segmentation_is_cross_entropy_and_soft_dice():
    random = np.random.default_rng(0)
    z, t = random.normal(size=(3, 3, 5, 4)), random.integers(0, 3, (3, 5, 4))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    entropy = -np.log(np.take_along_axis(p, t[:, None], 1)).mean()
    soft = [
        (2 * (p[n, k] * (t[n] == k)).sum() + 1) / (p[n, k].sum() + (t[n] == k).sum() + 1)
        for n in range(3)
        for k in (1, 2)
    ]
    loss = objective(Segment(kind="segment")).loss(torch.from_numpy(z), torch.from_numpy(t))
    assert loss.item() == pytest.approx(entropy + 1 - np.mean(soft))


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
