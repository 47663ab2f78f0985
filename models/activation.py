"""Activations whose slope at 0 lets a sleeping group wake up."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from spec.graph import Activation

Function = Callable[[torch.Tensor], torch.Tensor]


def _identity(z: torch.Tensor) -> torch.Tensor:
    return z


def _relu_with_slope(z: torch.Tensor) -> torch.Tensor:
    """ReLU with derivative 1 at 0: torch's own has 0 there, and a neuron of zero weights would never wake."""
    return z.clamp(min=0)


def activation(name: Activation, *, grouped_bias: bool) -> Function:
    """The function σ for a layer.

    With the bias in its group a sleeping neuron sits at exactly z = 0, so ReLU needs its slope there; with free
    biases the published form (torch's ReLU) is kept.
    """
    functions: dict[Activation, Function] = {
        "none": _identity,
        "silu": F.silu,
        "gelu": F.gelu,
        "relu": _relu_with_slope if grouped_bias else F.relu,
        "sigmoid": torch.sigmoid,
    }
    return functions[name]
