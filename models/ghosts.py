"""Ghosts: sleeping entries of a node, zeros that are never written to memory and of which only the gradient is wanted.

What an operation without weights does to the gradient of a ghost follows from what it computes of zeros. Where that is
known beforehand nothing need be computed of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from models.ops import dense
from spec.node import Node

Tensor = torch.Tensor
Run = Callable[[Sequence[Tensor]], Tensor]
"""The operation, as a function of the sleeping entries of its sources."""


def ghost(like: Tensor, entries: int) -> Tensor:
    """So many sleeping entries of a node whose active ones are `like`, (batch, any, …)."""
    return like.new_zeros(()).expand(like.shape[0], entries, *like.shape[2:])


def passed(node: Node, run: Run, sources: Sequence[Tensor], like: Tensor) -> Tensor:
    """The ghost of an operation without weights whose active entries are `like`, from the ghosts of its sources."""
    adjoint = _ADJOINTS.get((node.op, node.mode))
    if adjoint is None:
        return run(sources)
    out: Tensor = _Passed.apply(node, adjoint, like, *sources)  # type: ignore[no-untyped-call]
    return out


class _Passed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, node: Node, adjoint: "Adjoint", like: Tensor, *sources: Tensor) -> Tensor:
        ctx.adjoint, ctx.shapes = adjoint, [source.shape for source in sources]
        return ghost(like, sum(source.shape[1] for source in sources))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return None, None, None, *ctx.adjoint(gradient, ctx.shapes)


Adjoint = Callable[[Tensor, Sequence[torch.Size]], Sequence[Tensor]]
"""From the gradient of the value those of the sources, of the shapes given."""


def _concat(gradient: Tensor, shapes: Sequence[torch.Size]) -> Sequence[Tensor]:
    parts = torch.split(gradient, [shape[1] for shape in shapes], dim=1)
    return [dense(part) if part.dim() == 4 else part for part in parts]


def _max(gradient: Tensor, shapes: Sequence[torch.Size]) -> Sequence[Tensor]:
    """Of equal pixels the first is the largest."""
    how = torch.channels_last
    found = torch.empty(shapes[0], dtype=gradient.dtype, device=gradient.device, memory_format=how).zero_()
    found[:, :, ::2, ::2] = gradient
    return [found]


def _bilinear(gradient: Tensor, shapes: Sequence[torch.Size]) -> Sequence[Tensor]:
    height, width = (2 * pixels for pixels in shapes[0][2:])
    whole = dense(F.pad(gradient, (0, width - gradient.shape[3], 0, height - gradient.shape[2])))
    size = [height, width]
    return [torch.ops.aten.upsample_bilinear2d_backward(whole, size, list(shapes[0]), False, 2.0, 2.0)]


_ADJOINTS: Mapping[tuple[str, str], Adjoint] = {
    ("concat", "none"): _concat,
    ("pool", "max"): _max,
    ("up", "bilinear"): _bilinear,
}
