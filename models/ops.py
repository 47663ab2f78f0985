"""What the operations of the graph of groups compute: to build, to run, and to write down. A new one is one entry."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from spec.node import Node
from spec.node import Op as Name


class Affine(nn.Module):
    """Standardise, or undo it, with fixed statistics: buffers, not parameters."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def standardize(self, x: torch.Tensor) -> torch.Tensor:
        """(x − mean) / std."""
        return (x - self.mean) / self.std

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """The inverse of `standardize`."""
        return x * self.std + self.mean


class Place(nn.Module):
    """Put the outputs that survived back among the constants of those that did not.

    `order[i]` says where output i stands in the concatenation of the surviving outputs and `constant`.
    """

    order: torch.Tensor
    constant: torch.Tensor

    def __init__(self, order: torch.Tensor, constant: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("constant", constant)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        sleeping = self.constant.expand(x.shape[0], -1)
        return torch.cat([x, sleeping], dim=1).index_select(1, self.order)


class UpConv(nn.Module):
    """A transposed convolution 2×2 of stride 2, stored by output channel: `weight` (out, in, 2, 2), `bias` (out,).

    torch's own has its output channels along dimension 1; here they are rows, as in every other layer.
    """

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        like = nn.ConvTranspose2d(channels, filters, 2, stride=2)
        self.weight = nn.Parameter(like.weight.detach().transpose(0, 1).contiguous())
        self.bias = nn.Parameter(torch.zeros(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in, h, w) → (batch, out, 2h, 2w)."""
        return F.conv_transpose2d(x, self.weight.transpose(0, 1), self.bias, stride=2)


class Constant(nn.Module):
    """A layer that nothing feeds: `bias` (out,) at every pixel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, like: torch.Tensor) -> torch.Tensor:
        """Of the batch, height and width of `like`, (batch, any, h, w)."""
        return self.bias[None, :, None, None].expand(like.shape[0], -1, *like.shape[2:])


@dataclass(frozen=True)
class Op:
    """One operation. A *part* is what it keeps in a network: a module, the scalars of a sum, or None.

    `run` takes the node, its part and the values it reads: those of its sources, or the sample for an input; then that
    of `like` where it has one. σ comes after it. `emit` writes the same as an expression of the generated `model.py`,
    from the names of these values, and `declare` the constructor of its part there, where that is a module.
    """

    run: Callable[[Node, Any, Sequence[torch.Tensor]], torch.Tensor]
    emit: Callable[[Node, Any, Sequence[str]], str]
    build: Callable[[Node, int], nn.Module | None] = lambda node, entries: None
    """From the node and the number of entries of its sources."""
    declare: Callable[[Any], str] | None = None
    gain: float = 1.0
    """Factor on He's deviation of a group's weights at the start."""


def crop(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """An image cut to the height and width of another."""
    return x[:, :, : like.shape[2], : like.shape[3]]


def _crop_text(x: str, like: str) -> str:
    return f"{x}[:, :, : {like}.shape[2], : {like}.shape[3]]"


def _pool(node: Node, part: None, values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Means and maxima at an odd border are over the pixels that are there."""
    pool = F.max_pool2d if node.mode == "max" else F.avg_pool2d
    return pool(values[0], 2, ceil_mode=True)


def _sum(node: Node, scalars: torch.Tensor | None, values: Sequence[torch.Tensor]) -> torch.Tensor:
    plain = len(node.plain)
    value = sum(values[1:plain], start=values[0])
    if scalars is not None:
        for k, source in enumerate(values[plain:]):
            value = value + scalars[k] * source
    return value


def _sum_text(node: Node, scalars: Any, names: Sequence[str]) -> str:
    scaled = [f"self.{node.name}_scalars[{k}] * {name}" for k, name in enumerate(names[len(node.plain) :])]
    return " + ".join([*names[: len(node.plain)], *scaled])


def _place_text(node: Node, place: Place | None, names: Sequence[str]) -> str:
    if place is None:
        return names[0]
    sleeping = f"self.{node.name}_constant.expand({names[0]}.shape[0], -1)"
    return f"torch.cat([{names[0]}, {sleeping}], dim=1).index_select(1, self.{node.name}_order)"


def _missing(node: Node, entries: int) -> Place | None:
    missing = node.width - entries
    return Place(torch.arange(node.width), torch.zeros(missing)) if missing else None


def _join(values: Sequence[torch.Tensor]) -> torch.Tensor:
    if torch.is_grad_enabled() and values[0].dim() == 4 and not torch.compiler.is_compiling():
        joined: torch.Tensor = _Join.apply(*values)  # type: ignore[no-untyped-call]
        return joined
    return torch.cat(list(values), dim=1)


class _Join(torch.autograd.Function):
    """torch.cat of images; but the gradients lie dense in memory, by which what follows is up to ten times as fast."""

    @staticmethod
    def forward(ctx: Any, *values: torch.Tensor) -> torch.Tensor:
        ctx.widths = [value.shape[1] for value in values]
        return torch.cat(values, dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(dense(part) for part in torch.split(gradient, ctx.widths, dim=1))


def dense(image: torch.Tensor) -> torch.Tensor:
    """An image with a pixel's channels beside each other."""
    return image.contiguous(memory_format=torch.channels_last)


def _convolve(node: Node, conv: nn.Conv2d, values: Sequence[torch.Tensor]) -> torch.Tensor:
    """In training a pixel's channels lie beside each other: up to twice as fast where there are few channels."""
    out: torch.Tensor = conv(values[0])
    return dense(out) if conv.training else out


def _conv_text(conv: nn.Conv2d) -> str:
    side = conv.kernel_size[0]
    return f"nn.Conv2d({conv.in_channels}, {conv.out_channels}, {side}, padding={side // 2})"


def _call(node: Node, part: Any, names: Sequence[str]) -> str:
    return f"self.{node.name}({names[0]})"


OPS: Mapping[Name, Op] = {
    "input": Op(
        run=lambda node, part, values: part.standardize(values[0]),
        emit=lambda node, part, names: f"({names[0]} - self.mean) / self.std",
    ),
    "flatten": Op(
        run=lambda node, part, values: values[0].flatten(1),
        emit=lambda node, part, names: f"{names[0]}.flatten(1)",
    ),
    "concat": Op(
        run=lambda node, part, values: _join(values),
        emit=lambda node, part, names: f"torch.cat([{', '.join(names)}], dim=1)",
    ),
    "linear": Op(
        build=lambda node, entries: nn.Linear(entries, node.width),
        run=lambda node, part, values: part(values[0]),
        emit=_call,
        declare=lambda part: f"nn.Linear({part.in_features}, {part.out_features})",
    ),
    "conv": Op(
        build=lambda node, entries: nn.Conv2d(entries, node.width, node.kernel, padding=node.kernel // 2),
        run=_convolve,
        emit=_call,
        declare=_conv_text,
    ),
    "upconv": Op(
        build=lambda node, entries: UpConv(entries, node.width),
        run=lambda node, part, values: crop(part(values[0]), values[1]),
        emit=lambda node, part, names: _crop_text(_call(node, part, names), names[1]),
        declare=lambda part: f"nn.ConvTranspose2d({part.weight.shape[1]}, {part.weight.shape[0]}, 2, stride=2)",
        gain=math.sqrt(2.0),  # a value sums a quarter of its group (2), and no σ halves its variance (√½)
    ),
    "constant": Op(
        build=lambda node, entries: Constant(node.width),
        run=lambda node, part, values: part(values[0]),
        emit=lambda node, part, names: (
            f"self.{node.name}_bias[None, :, None, None].expand({names[0]}.shape[0], -1, *{names[0]}.shape[2:])"
        ),
    ),
    "pool": Op(
        run=_pool,
        emit=lambda node, part, names: (
            f"F.{'max' if node.mode == 'max' else 'avg'}_pool2d({names[0]}, 2, ceil_mode=True)"
        ),
    ),
    "up": Op(
        run=lambda node, part, values: crop(F.interpolate(values[0], scale_factor=2.0, mode=node.mode), values[1]),
        emit=lambda node, part, names: _crop_text(
            f'F.interpolate({names[0]}, scale_factor=2.0, mode="{node.mode}")', names[1]
        ),
    ),
    "sum": Op(run=_sum, emit=_sum_text),
    "place": Op(
        build=_missing,
        run=lambda node, part, values: values[0] if part is None else part(values[0]),
        emit=_place_text,
    ),
}
