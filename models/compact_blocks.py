"""What a compact step takes of each layer: the blocks of its matrices, its activation, and where sleepers are cheap."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.compact_layers import Layers
from spec.graph import Activation

aten = torch.ops.aten
SLOPES: dict[Activation, float] = {"silu": 0.5, "gelu": 0.5, "relu": 1.0}
"""σ′(0) of the activations that hidden layers may have."""


def _silu(z: Tensor, out: Tensor) -> None:
    aten.silu.out(z, out=out)


def _silu_slope(d: Tensor, z: Tensor) -> None:
    aten.silu_backward.grad_input(d, z, grad_input=d)


def _gelu(z: Tensor, out: Tensor) -> None:
    out.copy_(F.gelu(z))  # gelu.out passes over the strides of `out` in float32, and writes elsewhere


def _gelu_slope(d: Tensor, z: Tensor) -> None:
    aten.gelu_backward.grad_input(d, z, grad_input=d)


def _relu(z: Tensor, out: Tensor) -> None:
    torch.clamp(z, min=0, out=out)


def _relu_slope(d: Tensor, z: Tensor) -> None:
    """With slope 1 at 0: what is passed on is where z > threshold, so that is the largest number below 0."""
    aten.threshold_backward.grad_input(d, z, -torch.finfo(z.dtype).tiny, grad_input=d)


_SIGMAS: dict[Activation, tuple[Callable[[Tensor, Tensor], None], Callable[[Tensor, Tensor], None]]] = {
    "silu": (_silu, _silu_slope),
    "gelu": (_gelu, _gelu_slope),
    "relu": (_relu, _relu_slope),
}
"""σ into `out`, and its derivative at z times d into d."""


class Blocks:
    """The blocks of a layer that a step takes: views, but for `x`."""

    x: Tensor
    """(batch, ahead): ones, and what comes from below."""
    back: Tensor
    z: Tensor
    d: Tensor

    def __init__(self, layers: Layers, index: int) -> None:
        layer, ahead = layers.layers[index], layers.ahead(index)
        self.front, self.width, self._whole = layer.front, layer.width, layer.dual
        self.rows = layer.dual[:ahead]
        self.dual, self.sleeping = self.rows[:, : self.front], self.rows[:, self.front :]
        self.moments = [moment[:ahead] for moment in layer.moments]
        self.scale = layers.of(layers.scales, index)[: self.front]
        self.out: Tensor | None = None
        self.sleepers: Tensor | None = None
        self.at_zero = 1.0

    def take(self, x: Tensor) -> None:
        """Read from `x`, (batch, 1 + inputs in front), whose column 0 is ones."""
        self.x, self.xt = x, x.t()

    def activate(self, name: Activation, above: "Blocks") -> None:
        """Let the layer above read σ of this one's sums."""
        self.at_zero, self.out = SLOPES[name], above.x[:, 1:]
        self.sigma, self.slope = _SIGMAS[name]

    def outgoing(self, row: int) -> Tensor:
        """(front, inputs): the weights of the neurons in front from this row of the dual on."""
        return self._whole[row:, : self.front].t()

    def look_ahead(self, above: "Blocks", batch: int) -> None:
        """Take the gradients of sleepers as a product of two thin matrices, where that is fewer operations.

        They are xᵀ(D·Uᵀ) = (xᵀD)·Uᵀ with U the outgoing weights of the sleepers and D the gradient above.
        """
        ahead, asleep, wide = self.x.shape[1], self.width - self.front, above.front
        if asleep and ahead * wide * (batch + asleep) < batch * asleep * (ahead + wide):
            self.sleepers = above.outgoing(1 + self.front)
