"""The state of an MLP that is searched, with what is active in front: dual, moments, norms, and who stands where."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.owed import Owed

CHUNK = 8
"""Neurons by which a front grows, so that it does not change its size with every one that wakes."""
TIDY_EVERY = 100  # steps

_KEPT = ("squares", "behind", "thresholds", "awake", "left", "places")


@dataclass
class Layer:
    """One layer. `dual` is (1 + inputs, neurons), row 0 the biases; the moments, where there are some, are like it."""

    dual: Tensor
    moments: tuple[Tensor, ...]
    searched: bool
    front: int
    """How many neurons stand in front. All that are active do; the others there have been or may soon be."""

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return len(self.dual) - 1

    @property
    def width(self) -> int:
        """Number of neurons."""
        return self.dual.shape[1]

    def tensors(self) -> tuple[Tensor, ...]:
        """All that has the shape of the dual."""
        return (self.dual, *self.moments)


class Layers:
    """The layers of a chain, and of all their neurons in one row (that of `starts`) what is known of each.

    A neuron that is not in front has not moved the layer above since it left: its outgoing weights have no gradient.
    Where there are moments, it stays there for `warm` steps after it was active last, in which they have died down.
    """

    def __init__(self, layers: list[Layer], warm: int, betas: tuple[float, ...]) -> None:
        self.layers, self.warm, self.betas = layers, warm, betas
        self.time = 0  # steps done here
        widths = [layer.width for layer in layers]
        self.starts = [sum(widths[:i]) for i in range(len(widths) + 1)]
        like, total = layers[0].dual, self.starts[-1]
        self.squares = torch.ones(total, dtype=like.dtype, device=like.device)  # ‖v_g‖²
        self.behind = torch.zeros_like(self.squares)  # the part of it that comes from inputs that are not in front
        self.thresholds = torch.zeros_like(self.squares)  # λ√n_g
        self.scales = torch.zeros_like(self.squares)  # θ = scale · v
        self.outside = torch.zeros_like(self.squares)  # 1 where a neuron is not in front
        self.awake = torch.full((total,), -1 - warm, dtype=torch.int64, device=like.device)  # when it was active last
        self.left = torch.full_like(self.awake, -1)  # when it left the front; -1 where it is there, or never was
        self.owed: dict[int, Owed] = {}
        self._views: dict[int, tuple[Tensor, Tensor, Tensor, Tensor | None]] = {}
        self._room = like.new_empty(max(layer.dual.numel() for layer in layers))
        self.places = torch.cat([torch.arange(width, device=like.device) for width in widths])  # its own index

    def of(self, values: Tensor, index: int) -> Tensor:
        """Those of one layer, out of values for all neurons."""
        return values[self.starts[index] : self.starts[index + 1]]

    def ahead(self, index: int) -> int:
        """Rows of a layer's dual that belong to its bias and to inputs in front."""
        return 1 + (self.layers[index - 1].front if index else self.layers[0].inputs)

    def rescale(self, delta: float) -> None:
        """Let the scales follow from norms and thresholds, as `linbreg.GroupL1` does; note who is active."""
        norms = self.squares.sqrt()
        torch.sub(norms, self.thresholds, out=self.scales)
        self.scales.clamp_(min=0).div_(norms.clamp_(min=torch.finfo(torch.float32).tiny))
        if delta != 1.0:
            self.scales.mul_(delta)
        if self.warm:
            self.awake.masked_fill_(self.scales != 0, self.time)

    def measure(self, index: int) -> None:
        """Compute the norms of a layer's neurons; the part from rows that do not move is known.

        Of sleepers that are owed it stays what it was, until it might be that one of them is awake.
        """
        views = self._views.get(index)
        if views is None:
            views = self._views[index] = self._cut(index, 0, self.layers[index].front if index in self.owed else None)
        _measure(*views)
        if index in self.owed and self._owes_much(index):
            self.pay(index)

    def _cut(self, index: int, start: int, end: int | None) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """What `_measure` takes for these neurons of a layer."""
        dual, ahead = self.layers[index].dual, self.ahead(index)
        rows, behind = dual[:ahead, start:end], self.of(self.behind, index)[start:end]
        return (
            rows,
            self.scratch(*rows.shape),
            self.of(self.squares, index)[start:end],
            behind if ahead < len(dual) else None,
        )

    # What sleepers are owed

    @property
    def _momentum(self) -> float:
        return self.betas[0] if self.betas else 0.0

    def owe(self, shapes: Mapping[int, tuple[int, int]]) -> None:
        """Keep count for these layers, of thin factors of these shapes; pay the others."""
        for index in list(self.owed):
            if index not in shapes:
                self.pay(index)
                del self.owed[index]
        for index, shape in shapes.items():
            if index not in self.owed:
                self.owed[index] = Owed(self.squares.new_zeros(shape), self._momentum)
        self._views = {}

    def pay(self, index: int) -> None:
        """Bring the duals of a layer's sleepers to the present, and measure them."""
        if (owed := self.owed.get(index)) is not None:
            dual, *moments = (self._asleep(index, tensor) for tensor in self.layers[index].tensors())
            owed.pay_(dual, moments, self._outgoing(index))
            _measure(*self._cut(index, self.layers[index].front, None))

    def pay_all(self) -> None:
        """Bring all duals to the present."""
        for index in self.owed:
            self.pay(index)

    def _outgoing(self, index: int) -> Tensor:
        """(sleepers, neurons in front above): U."""
        return self.layers[index + 1].dual[1 + self.layers[index].front :, : self.layers[index + 1].front]

    def _asleep(self, index: int, tensor: Tensor) -> Tensor:
        """The rows that move, of the neurons that are not in front."""
        return tensor[: self.ahead(index), self.layers[index].front :]

    def _owes_much(self, index: int) -> bool:
        """Whether a sleeper might be awake."""
        start = self.layers[index].front
        squares, thresholds = self.of(self.squares, index)[start:], self.of(self.thresholds, index)[start:]
        moments = [self._asleep(index, moment) for moment in self.layers[index].moments]
        return self.owed[index].may_wake(squares, thresholds, moments, self._outgoing(index))

    def measure_behind(self, index: int) -> None:
        """Compute the part of the norms that rows behind the front make."""
        rows = self.layers[index].dual[self.ahead(index) :]
        torch.sum(torch.mul(rows, rows, out=self.scratch(*rows.shape)), 0, out=self.of(self.behind, index))

    def scratch(self, rows: int, columns: int) -> Tensor:
        """Room for a matrix, until it is asked for again: memory that is not new has its pages already."""
        return self._room[: rows * columns].view(rows, columns)

    def gather(self) -> set[int]:
        """Take into the front who is active outside, and now and then send away who need not be there.

        Returns the layers whose front is another now.
        """
        changed = set[int]()
        if torch.dot(self.scales, self.outside).item() != 0:  # also where one is NaN: a loss is to say so
            changed = {i for i, layer in enumerate(self.layers) if layer.front < layer.width and self._take_in(i)}
        if self.time % TIDY_EVERY == 0:
            changed |= {i for i, layer in enumerate(self.layers) if layer.searched and self._tidy(i)}
        self._refresh(changed)
        return changed

    def arrange(self) -> None:
        """Bring who must be in front there, from any order: for a state that is new here."""
        for index, layer in enumerate(self.layers):
            if layer.searched:
                layer.front = layer.width
                self._tidy(index)
        self._refresh(set(range(len(self.layers))))

    def _refresh(self, changed: set[int]) -> None:
        if changed:
            self._views = {}
        for index in changed:
            self._mark(index)
            if index + 1 < len(self.layers) and self.layers[index + 1].searched:
                self.measure_behind(index + 1)

    def _mark(self, index: int) -> None:
        """Mark who is not in front."""
        outside = self.of(self.outside, index)
        outside[: self.layers[index].front] = 0
        outside[self.layers[index].front :] = 1

    def _take_in(self, index: int) -> bool:
        layer, scales = self.layers[index], self.of(self.scales, index)
        front, away = layer.front, self._sleeps_long(index)
        woken = (scales[front:] != 0).nonzero()[:, 0] + front
        if len(woken) == 0:
            return False
        self._pay_around(index)
        free = away.nonzero()[: len(woken), 0]
        if len(free) == len(woken):
            targets = free
        else:  # grow, by those outside with the largest dual: the woken are among them
            more = min(layer.width - front, math.ceil(len(woken) / CHUNK) * CHUNK)
            woken = self.of(self.squares, index)[front:].topk(more).indices.sort().values + front
            free = woken[:0]
            targets = torch.arange(front, front + more, device=woken.device)
            layer.front = front + more
            inside = torch.isin(targets, woken)
            targets, woken = targets[~inside], woken[woken >= layer.front]
        self._exchange(index, woken, targets)
        entered = torch.cat([free, torch.arange(front, layer.front, device=free.device)])
        if self.warm:
            self.of(self.left, index)[woken[: len(free)]] = self.time  # who made room
            self._return(index, entered)
        return True

    def _sleeps_long(self, index: int) -> Tensor:
        """Who stands in front and need not."""
        front = self.layers[index].front
        sleeps = self.of(self.scales, index)[:front] == 0
        return sleeps & (self.of(self.awake, index)[:front] < self.time - self.warm) if self.warm else sleeps

    def _tidy(self, index: int) -> bool:
        layer, away = self.layers[index], self._sleeps_long(index)
        kept = len(away) - int(away.sum())
        front = min(layer.width, math.ceil(max(kept, 1) / CHUNK) * CHUNK)
        if front >= layer.front:
            return False
        self._pay_around(index)
        late = (~away[front:]).nonzero()[:, 0] + front
        self._exchange(index, late, away[:front].nonzero()[: len(late), 0])
        if self.warm:
            self.of(self.left, index)[front : layer.front] = self.time
        layer.front = front
        return True

    def _pay_around(self, index: int) -> None:
        """Before the front of a layer changes: what is owed there, below and above, has its form."""
        for near in (index - 1, index, index + 1):
            self.pay(near)
            self.owed.pop(near, None)

    def _exchange(self, index: int, these: Tensor, those: Tensor) -> None:
        """Let neurons change places, one by one."""
        if len(these) == 0:
            return
        to, of = torch.cat([these, those]), torch.cat([those, these])
        for tensor in self.layers[index].tensors():
            tensor[:, to] = tensor[:, of]
        if index + 1 < len(self.layers):
            for tensor in self.layers[index + 1].tensors():
                tensor[1 + to] = tensor[1 + of]
        for values in (self.squares, self.behind, self.scales, self.awake, self.left, self.places):
            own = self.of(values, index)
            own[to] = own[of]

    def _return(self, index: int, entered: Tensor) -> None:
        """Let the moments of outgoing weights be what they would have become outside, where nothing fed them."""
        left = self.of(self.left, index)
        gone = entered[left[entered] >= 0]
        if len(gone) and index + 1 < len(self.layers):
            above = self.layers[index + 1]
            idle = (self.time - left[gone]).to(above.dual.dtype)[:, None]
            for moment, beta in zip(above.moments, self.betas, strict=True):
                moment[1 + gone] *= beta**idle
        left[entered] = -1

    def catch_up(self) -> None:
        """Bring all moments to the present."""
        for index, layer in enumerate(self.layers):
            self._return(index, torch.arange(layer.width, device=layer.dual.device))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All of it, for a checkpoint."""
        tensors = {name: getattr(self, name) for name in _KEPT}
        for index, layer in enumerate(self.layers):
            tensors |= {f"{index}.{k}": tensor for k, tensor in enumerate(layer.tensors())}
        for index, owed in self.owed.items():
            tensors |= {f"owed.{index}": owed.steps, f"rolling.{index}": owed.rolling}
        owing = [(index, owed.count) for index, owed in self.owed.items()]
        return tensors, {"time": self.time, "fronts": [layer.front for layer in self.layers], "owing": owing}

    def load(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Be what gave this `state`."""
        for name in _KEPT:
            getattr(self, name).copy_(tensors[name])
        self.time = values["time"]
        for index, (layer, front) in enumerate(zip(self.layers, values["fronts"], strict=True)):
            for k, tensor in enumerate(layer.tensors()):
                tensor.copy_(tensors[f"{index}.{k}"])
            layer.front = front
            self._mark(index)
        self.owed = {
            index: Owed(tensors[f"owed.{index}"].clone(), self._momentum, tensors[f"rolling.{index}"].clone(), count)
            for index, count in values["owing"]
        }
        self._views = {}


def _measure(rows: Tensor, room: Tensor, squares: Tensor, behind: Tensor | None) -> None:
    torch.mul(rows, rows, out=room)
    torch.sum(room, 0, out=squares)
    if behind is not None:
        squares.add_(behind)
