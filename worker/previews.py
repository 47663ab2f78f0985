"""What does the network make of a few pictures while it trains? Small, seldom, and without a hand in the training.

At epochs 1, 2, 4, 8, … and the last, the same few validation samples go through the network, so that one can watch the
pictures get better. What goes in and what should come out is told once, with epoch 1.
"""

import base64
import io
from typing import Final

import numpy as np
import torch
from PIL import Image

from worker.progress import Previewed, Stage
from worker.seeds import stream
from worker.training import Training

_COUNT: Final = 4
_SIDE: Final = 64  # pixels that are shown of each, from its middle
_LOSSLESS: Final = 32  # smaller ones cost nothing
_QUALITY: Final = 90


def preview(stage: Stage, training: Training, epoch: int) -> Previewed | None:
    """The preview that is due after this epoch; None where none is, or where in and out are no pictures."""
    objective, split = training.objective, training.samples.splits["validation"]
    is_due = epoch & (epoch - 1) == 0 or training.epoch >= training.epochs
    if not is_due or objective.metric != "psnr" or split.x.ndim != 4 or split.x.shape[1] not in (1, 3):
        return None
    given, truth = objective.pair(*split.batch(split.first(_COUNT)), stream(training.seed, "preview"))
    if truth.shape[1] not in (1, 3):
        return None
    if training.tiling is not None:  # it takes images of any size
        given, truth = _middle(given), _middle(truth)
    network = training.stepper.model().eval()
    with torch.no_grad():
        output = network(given.to(training.device)).cpu()
    return Previewed(
        stage=stage,
        epoch=epoch,
        count=len(output),
        psnr=objective.measure(output, truth).mean().item(),
        output=_strip(output),
        input=_strip(given) if epoch == 1 else None,
        truth=_strip(truth) if epoch == 1 else None,
    )


def _middle(images: torch.Tensor) -> torch.Tensor:
    height, width = images.shape[2:]
    top, left = max(0, height - _SIDE) // 2, max(0, width - _SIDE) // 2
    return images[..., top : top + _SIDE, left : left + _SIDE]


def _strip(images: torch.Tensor) -> str:
    """Images (n, channels, height, width) side by side, as a data URI."""
    images = _middle(images)
    pixels = (torch.cat(list(images), 2).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    file = io.BytesIO()
    if images.shape[2] <= _LOSSLESS:
        kind = "png"
        picture.save(file, "PNG")
    else:
        kind = "jpeg"
        picture.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
