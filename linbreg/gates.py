"""Which layers need their nonlinearity? A group test on the dual of gates, one gate vector a layer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class GateRule:
    """When a layer opens; lengths in steps of the optimiser that trains the weights."""

    window: int = 60
    """Steps over which a dual is gathered."""
    ramp: int = 50
    """Steps in which the gates of an opened layer go from 0 to ±1."""
    threshold: float = 1.25
    """λ in units of the noise: how long a dual must be beside a sum of independent gradients."""
    settled: float = 0.02
    """A window is judged where the mean loss fell by at most this share from the window before: while the weights
    have far to go every layer seems to help. 1: settled or not."""
    repaid: bool = True
    """Whether a layer opens only once the mean loss is below what it was when the one before opened. Opening a layer
    disturbs what has been learned; a second one would mostly repair that."""
    patience: int = 2
    """Windows judged without an opening after which no layer opens any more."""
    least: int = 1
    """So many layers open whatever their duals say."""


class LayerGates:
    r"""Opens closed layers one at a time, by linearised Bregman steps on their gates.

    A layer computes :math:`z + g \odot z \tanh(z/2)`: linear with g = 0, 2·SiLU(z) with g = 1, −2·SiLU(−z) with
    g = −1 (see :func:`gated`). A layer's gates are one group of :math:`J(g) = \sum_l \lambda_l \lVert g_l \rVert`
    and sleep at 0. Over a window of steps t, with the weights trained on meanwhile,

    .. math::
       v_l \leftarrow v_l - \nabla_{g_l} \log L_t, \qquad
       \lambda_l = c \, \Big( \sum_t \lVert \nabla_{g_l} \log L_t \rVert^2 \Big)^{1/2}

    A layer's *strength* is ‖v_l‖ / λ_l with c = 1: near 1 where the gradients are noise, √T where all T of them
    agree. The first window, and the first after an opening, is only what the loss of the next is compared with. After
    a window that is judged the strongest closed layer with ‖v_l‖ > λ_l opens, and its gates ramp to the signs of
    v_l. So one layer opens after the other, each judged beside those that are open already.

    `GateRule(settled=1, repaid=False)` judges every window: right where the weights are trained with large steps.

    Args:
        gates: one vector a layer, each a leaf with gradient, at 0
        rule: the lengths, c, and when to stop

    Call :meth:`step` after every ``backward``. State: :meth:`state_dict` holds tensors and plain values.
    """

    def __init__(self, gates: Sequence[Tensor], rule: GateRule | None = None) -> None:
        self.gates = list(gates)
        self.rule = rule or GateRule()
        self.opened: list[int] = []
        """Layers in the order in which they opened."""
        self.signs: dict[int, Tensor] = {}
        """Where the gates of the opened layers go, ±1."""
        self.strengths: list[list[float]] = []
        """Of every window that was judged, every layer's; those of opened layers too."""
        self.done = False
        """Whether no layer will open any more."""
        self._failures = 0
        self._loss_before: float | None = None  # mean over the window before, where there is one to compare with
        self._loss_opened: float | None = None  # mean over the window after which the last layer opened
        self._begin_window()

    @torch.no_grad()
    def step(self, loss: float) -> None:
        """Take note of the gradients of the gates, which it clears; ramp what is open, and open what should.

        A loss of 0, which has no logarithm, counts for nothing; a negative one raises ValueError.
        """
        if loss < 0:
            raise ValueError(f"gates are judged by the gradient of log L, and the loss is {loss}")
        for index, signs in self.signs.items():
            ramp_(self.gates[index], signs, 1 / self.rule.ramp)
        if not self.done:
            if self._steps == self.rule.window:
                self._begin_window()
            if loss > 0:
                self._gather(loss)
            self._steps += 1
            if self._steps == self.rule.window:
                self._end_window()
        for gate in self.gates:
            gate.grad = None

    @torch.no_grad()
    def finish(self) -> None:
        """There is no time for another window: open the layers that `least` still asks for, and no more."""
        while len(self.opened) < min(self.rule.least, len(self.gates)):
            self._judge()
        self.done = True

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values; the gates themselves belong to the model."""
        return {
            "duals": dict(enumerate(self._duals)),
            "signs": dict(self.signs),
            "noise": self._noise,
            "opened": self.opened,
            "strengths": self.strengths,
            "done": self.done,
            "failures": self._failures,
            "loss_before": self._loss_before,
            "loss_opened": self._loss_opened,
            "loss_sum": self._loss_sum,
            "steps": self._steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as the one that gave `state`; the gates must be those of that moment too."""
        self._duals = [state["duals"][index].clone().to(gate) for index, gate in enumerate(self.gates)]
        self.signs = {index: sign.clone().to(self.gates[index]) for index, sign in state["signs"].items()}
        self._noise, self.opened = list(state["noise"]), list(state["opened"])
        self.strengths = [list(window) for window in state["strengths"]]
        self.done, self._failures = state["done"], state["failures"]
        self._loss_before, self._loss_opened = state["loss_before"], state["loss_opened"]
        self._loss_sum, self._steps = state["loss_sum"], state["steps"]

    def _begin_window(self) -> None:
        self._duals = [torch.zeros_like(gate, requires_grad=False) for gate in self.gates]
        self._noise = [0.0] * len(self.gates)  # Σ ‖∇ log L‖²
        self._loss_sum, self._steps = 0.0, 0

    def _gather(self, loss: float) -> None:
        self._loss_sum += loss
        for index, gate in enumerate(self.gates):
            assert gate.grad is not None
            gradient = gate.grad / loss
            self._duals[index] -= gradient
            self._noise[index] += float(gradient.square().sum())

    def _end_window(self) -> None:
        loss = self._loss_sum / self._steps
        settled = self._loss_before is not None and loss >= (1 - self.rule.settled) * self._loss_before
        repaid = not self.rule.repaid or self._loss_opened is None or loss < self._loss_opened
        self._loss_before = loss
        if settled and repaid and self._judge():
            self._loss_before, self._loss_opened = None, loss

    def _judge(self) -> bool:
        """Open the strongest closed layer, if it is strong enough; whether one was."""
        strengths = [
            float(dual.norm()) / math.sqrt(noise) if noise > 0 else 0.0
            for dual, noise in zip(self._duals, self._noise, strict=True)
        ]
        self.strengths.append(strengths)
        closed = [index for index in range(len(self.gates)) if index not in self.opened]
        strongest = max(closed, key=lambda index: strengths[index])
        opens = strengths[strongest] > self.rule.threshold or len(self.opened) < self.rule.least
        if opens:
            self.opened.append(strongest)
            dual = self._duals[strongest]
            self.signs[strongest] = torch.where(dual >= 0, torch.ones_like(dual), -torch.ones_like(dual))
        self._failures = 0 if opens else self._failures + 1
        self.done = len(self.opened) == len(self.gates) or self._failures == self.rule.patience
        return opens


def gated(z: Tensor, gate: Tensor) -> Tensor:
    """z + g ⊙ z·tanh(z/2) for z of shape (batch, width) and gates of shape (width,)."""
    return torch.addcmul(z, gate, z * torch.tanh(z * 0.5))


@torch.no_grad()
def ramp_(gate: Tensor, signs: Tensor, rate: float) -> None:
    """Move gates by `rate` towards ±1, and exactly there with the last step."""
    gate.add_(signs, alpha=rate)
    gate.copy_(torch.where(gate.abs() > 1 - 0.5 * rate, signs, gate))
