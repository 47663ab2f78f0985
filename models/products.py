"""The products of layers with weights, and the two parts of their gradients, each for other channels if wanted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from spec.node import Node
from spec.node import Op as Name

Tensor = torch.Tensor


@dataclass(frozen=True)
class Product:
    """A layer as a function that is linear in its inputs x (batch, in, …) and in its weights (out, in, …) alike.

    So what its gradient is for some inputs, and for some weights, can be asked for separately, from the gradient d of
    values of some groups.
    """

    value: Callable[[Node, Tensor, Tensor, Tensor], Tensor]
    """From x, weights and biases (out,)."""
    inputs: Callable[[Node, Tensor, Tensor, Tensor], Tensor]
    """The gradient of all inputs that the weights have, from d, the weights, and x (for its height and width alone)."""
    weights: Callable[[Node, Tensor, Tensor, Tensor], Tensor]
    """The gradient of the weights from all inputs of x to all groups of d, from d, the weights (for the size of their
    kernels alone), and x."""


def _like(x: Tensor, channels: int) -> Tensor:
    """Nothing of the size of an image, with a pixel's channels beside each other."""
    shape = (x.shape[0], channels, *x.shape[2:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _backward(node: Node, d: Tensor, x: Tensor, weight: Tensor, *, of_inputs: bool) -> Tensor:
    doubles = node.op == "upconv"
    stride, padding = (2, 0) if doubles else (1, node.kernel // 2)
    found: Tensor = torch.ops.aten.convolution_backward(
        d.contiguous(memory_format=torch.channels_last), x, weight, None,
        [stride, stride], [padding, padding], [1, 1], doubles, [0, 0], 1, [of_inputs, not of_inputs, False],
    )[0 if of_inputs else 1]  # fmt: skip
    return found


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x, weight, bias, padding=node.kernel // 2).contiguous(memory_format=torch.channels_last)


def _conv_weights(node: Node, d: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    like = torch.empty((d.shape[1], x.shape[1], *weight.shape[2:]), dtype=x.dtype, device=x.device)
    return _backward(node, d, x, like, of_inputs=False)


def _up_weights(node: Node, d: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    like = torch.empty((x.shape[1], d.shape[1], *weight.shape[2:]), dtype=x.dtype, device=x.device)
    return _backward(node, d, x, like, of_inputs=False).transpose(0, 1)


PRODUCTS: Mapping[Name, Product] = {
    "linear": Product(
        value=lambda node, x, weight, bias: F.linear(x, weight, bias),
        inputs=lambda node, d, weight, x: d @ weight,
        weights=lambda node, d, weight, x: d.T @ x,
    ),
    "conv": Product(
        value=_conv,
        inputs=lambda node, d, weight, x: _backward(node, d, _like(x, weight.shape[1]), weight, of_inputs=True),
        weights=_conv_weights,
    ),
    "upconv": Product(
        value=lambda node, x, weight, bias: F.conv_transpose2d(x, weight.transpose(0, 1), bias, stride=2),
        inputs=lambda node, d, weight, x: _backward(
            node, d, _like(x, weight.shape[1]), weight.transpose(0, 1), of_inputs=True
        ),
        weights=_up_weights,
    ),
}
