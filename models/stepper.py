"""How a network is moved by a step of its optimiser, and what can be asked of it between two steps."""

import copy
import math
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch

from linbreg import BregmanOptimizer, pack_state, unpack_state
from models.groups import active_counts, scalar_counts
from models.network import Network
from models.shrink import shrink
from spec.graph import used

LossOf = Callable[[torch.Tensor], torch.Tensor]
"""From the network's output, a scalar that has a gradient."""


class Stepper:
    """Does the plain step: forward, backward, clip, optimiser, each for all of the network.

    A kind that takes less for it may keep weights and the optimiser's state in a form of its own between steps; then
    `network` and `optimizer` have them after `write_back`, and until the next step. Between steps ask here: what
    `counts`, `scores`, `model` and `shrunk` say is true of every kind. Settings stay where they are, in the
    optimiser's param groups and their regularisers: read anew at every step.

    `clip` is the largest norm of a step's gradient. With `bfloat16` layers are computed in that; weights, gradients of
    weights, duals, moments and the loss are not.
    """

    kind = "plain"
    """Names the form of the state in a checkpoint."""

    def __init__(
        self, network: Network, optimizer: torch.optim.Optimizer, clip: float | None = None, *, bfloat16: bool = False
    ) -> None:
        self.network, self.optimizer, self.clip, self.bfloat16 = network, optimizer, clip, bfloat16
        self.looks: Collection[int] | None = None
        """The steps, counted from 1, after which the sleeping groups matter to somebody; None for all."""
        self._before_step: Callable[..., None] | None = None

    def step(self, given: torch.Tensor, loss_of: LossOf) -> float:
        """Do a step for the inputs `given`; returns the loss before it. One that is not finite moves nothing."""
        value = self._differentiate(self.network, list(self.network.parameters()), given, loss_of)
        if math.isfinite(value):
            self.optimizer.step()
        return value

    def _differentiate(
        self,
        run: Callable[[torch.Tensor], torch.Tensor],
        parameters: list[torch.Tensor],
        given: torch.Tensor,
        loss_of: LossOf,
    ) -> float:
        """Leave in `parameters` the gradients of the loss of what `run` gives, clipped; returns the loss."""
        if not self.network.training:
            self.network.train()
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast(given.device.type, torch.bfloat16, enabled=self.bfloat16):
            output = run(given)
        loss = loss_of(output.float() if self.bfloat16 else output)
        value = loss.item()
        if math.isfinite(value):
            loss.backward()  # type: ignore[no-untyped-call]
            if self.clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, self.clip)
        return value

    @property
    def moving(self) -> torch.optim.Optimizer:
        """The optimiser of what the last step moved: all groups, or in the same order those that were active."""
        return self.optimizer

    def tell_before_step(self, told: Callable[[], None]) -> None:
        """Call a method before every step of the optimiser, gradients being there; its object is not kept alive."""
        method = weakref.WeakMethod(told)

        def before_step(*_: Any) -> None:
            if (called := method()) is not None:
                called()

        self._before_step = before_step
        self.optimizer.register_step_pre_hook(before_step)

    def counts(self) -> dict[str, int]:
        """Number of active groups of every searched layer."""
        return active_counts(self.network)

    def in_use(self) -> dict[str, int]:
        """All that a size depends on, as `models.groups.in_use` says it."""
        return used(self.network.graph, self.counts() | scalar_counts(self.network))

    def scores(self) -> list[torch.Tensor]:
        """‖v_g‖/√n_g of the groups of each index set, in any order: awake are those above λ."""
        sets = len(self.network.graph.index_sets())
        return [
            group["regularizer"].scores([self.moving.state[param]["dual"] for param in group["params"]])[0]
            for group in self.moving.param_groups[:sets]
        ]

    def apply_prox(self) -> None:
        """Let the weights follow from the dual, after a λ was changed."""
        assert isinstance(self.moving, BregmanOptimizer)
        self.moving.apply_prox()

    def model(self) -> torch.nn.Module:
        """What computes the same as the network, to be used before the next step."""
        return self.network

    def shrunk(self) -> Network:
        """The network without its sleeping groups, on the CPU; raises LayerDied as `models.shrink` does."""
        return shrink(on_cpu(self.network))

    def write_back(self) -> None:
        """Let `network` and `optimizer` have all of the state, until the next step."""

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Everything that the next steps depend on, as tensors and as values that JSON can hold.

        The tensors may share memory with the network and the optimiser: store them before the next step.
        """
        tensors, values = pack_state(self.optimizer.state_dict())
        named = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        return named | {f"optimizer.{name}": tensor for name, tensor in tensors.items()}, {"kind": "plain", **values}

    def restore(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, exactly."""
        self.network.load_state_dict(under("network", tensors))
        self.optimizer.load_state_dict(unpack_state(under("optimizer", tensors), values))


def on_cpu(network: Network) -> Network:
    """The network itself where it lies on the CPU, else a copy of it there."""
    on_device = next(network.parameters()).device.type != "cpu"
    return copy.deepcopy(network).cpu() if on_device else network


def under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with this prefix and a dot, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
