"""Where does a network start from? From few live neurons, the others exactly zero."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

BiasForm = Literal["grouped", "free", "zero"]


@torch.no_grad()
def sparse_rows_(
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    density: float,
    scale: float = 1.0,
    bias_form: BiasForm = "grouped",
    bias_scale: float = 1.0,
    dim: int = 0,
    minimum: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a layer with few live neurons or channels, and return the boolean mask of those.

    A group lives with probability ``density``; where fewer than ``minimum`` do, those that came nearest live too.
    Live weights are normal with He's deviation √(2/fan_in)·``scale``, the others exactly 0. The draws are float32
    on the CPU and always the same in number: one seed gives one start for every dtype and device, and the live
    groups of a smaller density are among those of a larger one.

    Args:
        weight: (out, in, …) with ``dim=0``; that of a ConvTranspose2d, (in, out, …), with ``dim=1``.
        bias: (out,)
        density: in [0, 1]; 1 is a dense start.
        scale: a factor on He's deviation. fan_in is the size of a group, *dead* inputs included; 1/√r makes up
            for a density r of the layer below, published are 5 to 10 everywhere.
        bias_form: ``"grouped"``: U(0, bias_scale/√fan_in) on live groups and 0 on the others, for biases that
            belong to their neuron's group; ``"free"``: the same on all; ``"zero"``.
        bias_scale: a factor on the range of the biases.
        minimum: at least so many groups live; 0 allows an empty layer, which never wakes behind a plain ReLU.
        generator: of the CPU; the default one where it is None.
    """
    _check(weight, bias, density, bias_form, dim, minimum, generator)
    for name, factor in (("scale", scale), ("bias_scale", bias_scale)):
        if not math.isfinite(factor) or factor < 0:
            raise ValueError(f"{name} must be a finite number that is not negative, got {factor}")
    groups = weight.shape[dim]
    fan_in = weight.numel() // groups

    chance = torch.rand(groups, generator=generator, dtype=torch.float32)
    normal = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
    uniform = torch.rand(groups, generator=generator, dtype=torch.float32)

    live = chance < density
    live[chance.argsort()[:minimum]] = True
    mask = live.view([-1 if axis == dim else 1 for axis in range(weight.ndim)])
    weight.copy_(torch.where(mask, normal * (scale * math.sqrt(2 / fan_in)), 0.0))
    if bias is not None:
        uniform *= bias_scale / math.sqrt(fan_in)
        forms = {
            "grouped": torch.where(live, uniform, 0.0),
            "free": uniform,
            "zero": torch.zeros(groups),
        }
        bias.copy_(forms[bias_form])
    return live.to(weight.device)


def _check(
    weight: Tensor,
    bias: Tensor | None,
    density: float,
    bias_form: str,
    dim: int,
    minimum: int,
    generator: torch.Generator | None,
) -> None:
    if weight.ndim < 2 or not 0 <= dim < weight.ndim:
        raise ValueError(f"a weight of shape {tuple(weight.shape)} has no groups of inputs along dim={dim}")
    if weight.numel() == 0:
        raise ValueError(f"a weight of shape {tuple(weight.shape)} is empty")
    groups = weight.shape[dim]
    if bias is not None and bias.shape != (groups,):
        raise ValueError(f"the bias has shape {tuple(bias.shape)}, the weight has {groups} groups along dim={dim}")
    if not 0 <= density <= 1:
        raise ValueError(f"density must be in [0, 1], got {density}")
    if bias_form not in get_args(BiasForm):
        raise ValueError(f"bias_form must be one of {', '.join(get_args(BiasForm))}; got {bias_form!r}")
    if not 0 <= minimum <= groups:
        raise ValueError(f"minimum must be between 0 and the {groups} groups of the weight, got {minimum}")
    if generator is not None and generator.device.type != "cpu":
        raise ValueError(f"the generator must be one of the CPU, got {generator.device}: draws are made there")
