"""What a compact step takes of each layer: the blocks of its matrices, its activation, and where sleepers are cheap."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.compact_layers import Layers
from models.owed import Owed
from spec.graph import Activation

aten = torch.ops.aten
Function = Callable[[Tensor, Tensor], None]

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


_SIGMAS: dict[Activation, tuple[Function, Function]] = {
    "silu": (_silu, _silu_slope),
    "gelu": (_gelu, _gelu_slope),
    "relu": (_relu, _relu_slope),
}
"""σ into `out`, and its derivative at z times d into d."""


class Blocks:
    """The blocks of a layer that a step takes: views of its matrices, and room for what passes through it."""

    x: Tensor
    """(batch, ahead): ones, and what comes from below."""
    thin: Tensor
    """(ahead, front + front above): the gradient of those in front, and the thin factor of the sleepers'."""
    sigma: Function
    slope: Function
    z: Tensor
    """(batch, front): the sums."""
    own: Tensor
    """(batch, front): the gradient of the loss with respect to the sums."""
    scaled: Tensor
    """The same times the scales, where the layer below wants it."""
    back: Tensor
    below: Tensor
    """`scaled` times `back` is `below`, the gradient for the neurons of the layer below: all, or those in front."""

    def __init__(self, layers: Layers, index: int, before: "Blocks | None", batch: int) -> None:
        layer, ahead = layers.layers[index], layers.ahead(index)
        self.front, self.width, self._whole = layer.front, layer.width, layer.dual
        self.rows = layer.dual[:ahead]
        self.dual, self.sleeping = self.rows[:, : self.front], self.rows[:, self.front :]
        self.moments = [moment[:ahead] for moment in layer.moments]
        self.scale = layers.of(layers.scales, index)[: self.front]
        self.room = layers.scratch(ahead, self.width)
        self.room_own, self.room_sleeping = self.room[:, : self.front], self.room[:, self.front :]
        shape = batch, ahead
        self.x = before.x if before is not None and before.x.shape == shape else layer.dual.new_ones(shape)
        self.xt = self.x.t()
        self.out: Tensor | None = None
        self.sleepers: Tensor | None = None
        self.at_zero = 1.0

    def read(self, under: "Blocks", name: Activation) -> None:
        """Read σ of the sums of the layer below."""
        under.at_zero, under.out = SLOPES[name], self.x[:, 1:]
        under.sigma, under.slope = _SIGMAS[name]

    def look_ahead(self, above: "Blocks", *, lazy: bool) -> None:
        """Make room for gradients: of all neurons, or of those in front and the thin factor of the sleepers'.

        The gradients of sleepers are xᵀ(D·Uᵀ) = (xᵀD)·Uᵀ with U their outgoing weights and D the gradient above. They
        are taken so where that is fewer operations; `lazy`, where the second product is not taken at every step.
        """
        batch, ahead = self.x.shape
        asleep, wide = self.width - self.front, above.front
        thin = ahead * wide * (batch + (asleep // 2 if lazy else asleep)) < batch * asleep * (ahead + wide)
        self.sleepers = above.outgoing(1 + self.front).contiguous() if asleep and thin else None
        self.slopes = self.x.new_empty(batch, self.width if self.sleepers is None else self.front + wide)
        self.own, self.rest = self.slopes[:, : self.front], self.slopes[:, self.front :]
        if self.sleepers is not None:
            self.thin = self.x.new_empty(ahead, self.front + wide)
            self.thin_own, self.thin_rest = self.thin[:, : self.front], self.thin[:, self.front :]

    def pass_to(self, under: "Blocks") -> None:
        """Know where the layer below wants its gradient."""
        thin = under.sleepers is not None
        self.scaled = under.rest if thin else self.x.new_empty(len(self.x), self.front)
        self.back = self.outgoing(1)[:, : under.front if thin else None]
        self.below = under.own if thin else under.slopes

    def outgoing(self, row: int) -> Tensor:
        """(front, inputs): the weights of the neurons in front from this row of the dual on."""
        return self._whole[row:, : self.front].t()

    @property
    def shape_owed(self) -> tuple[int, int]:
        """Of the thin factor of the sleepers' gradients."""
        return self.x.shape[1], self.slopes.shape[1] - self.front

    def receive(self, slopes: Tensor) -> None:
        """Take the gradient of all sums from above."""
        self.slopes, self.own = slopes, slopes[:, : self.front]

    def through(self) -> None:
        """From the gradient of what goes up to that of the sums."""
        self.slope(self.own, self.z)
        if self.sleepers is None and self.front < self.width and self.at_zero != 1:
            self.rest.mul_(self.at_zero)

    def gradient(self) -> Tensor:
        """The gradient of θ, (ahead, width), in memory that is used again."""
        if self.sleepers is None:
            return torch.mm(self.xt, self.slopes, out=self.room)
        torch.mm(self.xt, self.slopes, out=self.thin)
        self.room_own.copy_(self.thin_own)
        rest = self.room_sleeping
        torch.addmm(rest, self.thin_rest, self.sleepers, beta=0, alpha=self.at_zero, out=rest)
        return self.room

    def step(self, lr: float, momentum: float, owed: Owed | None) -> None:
        """Move the dual against the gradient; what sleepers are to move goes to `owed` where there is such."""
        if owed is None:
            if self.moments:
                self.moments[0].addmm_(self.xt, self.slopes, beta=momentum, alpha=(1 - momentum) * lr)
                self.rows.sub_(self.moments[0])
            else:
                self.rows.addmm_(self.xt, self.slopes, alpha=-lr)
            return
        torch.mm(self.xt, self.slopes, out=self.thin)
        if self.moments:
            own = self.moments[0][:, : self.front]
            self.dual.sub_(own.mul_(momentum).add_(self.thin_own, alpha=(1 - momentum) * lr))
        else:
            self.dual.add_(self.thin_own, alpha=-lr)
        owed.add(self.thin_rest, lr * self.at_zero)
