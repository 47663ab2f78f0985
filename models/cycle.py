"""Steps of a search at the price of what is active: exact ones, and cycles of cheaper ones."""

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import torch

from linbreg import AdaBreg, GroupL1, LinBreg, RegularizedOptimizer, Rows
from models.active_part import ActivePart, has_active_part
from models.groups import active_masks
from models.network import Network
from models.price import Price
from models.shrink import LayerDied, shrink
from models.stepper import LossOf, Stepper, under

CYCLE: Final = 10
"""Steps of a cycle."""


class ActiveStepper(Stepper):
    """Takes the plain step, its gradients from the active part wherever that pays (:func:`pays`).

    Only gradients are computed in another way, so nothing is kept between steps but what the plain step keeps.
    """

    kind = "active"

    def __init__(self, network: Network, optimizer: torch.optim.Optimizer, clip: float | None = None) -> None:
        super().__init__(network, optimizer, clip)
        self.price = Price(network.graph)
        self._kept: tuple[dict[str, torch.Tensor], ActivePart] | None = None

    def step(self, given: torch.Tensor, loss_of: LossOf) -> float:
        """See `Stepper.step`."""
        value = self._exact(given, loss_of, active_masks(self.network))
        if math.isfinite(value):
            self.optimizer.step()
        return value

    def model(self) -> torch.nn.Module:
        """The shrunk network, which agrees up to rounding; where none is left the network itself."""
        self.write_back()
        try:
            return shrink(self.network)
        except LayerDied:
            return self.network

    def _part(self, masks: dict[str, torch.Tensor]) -> ActivePart:
        """The active part, which is kept until the masks change."""
        if self._kept is None or not _equal(self._kept[0], masks):
            self._kept = masks, ActivePart(self.network, masks)
        return self._kept[1]

    def _pays(self, masks: dict[str, torch.Tensor], given: torch.Tensor, way: Literal["exact", "alone"]) -> bool:
        return self.price.pays({name: int(mask.sum()) for name, mask in masks.items()}, given, way)

    def _exact(self, given: torch.Tensor, loss_of: LossOf, masks: dict[str, torch.Tensor]) -> float:
        """Leave the gradients of everything in the network; returns the loss."""
        run = self._part(masks) if self._pays(masks, given, "exact") else self.network
        return self._differentiate(run, list(self.network.parameters()), given, loss_of)


def _equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(mask, theirs[name]) for name, mask in ours.items())


class Cycle(ActiveStepper):
    """Takes steps in cycles: most train the active part alone, every few a whole step moves the sleepers too.

    A *relaxation*: it is not the search that takes whole steps alone. In a cycle of `CYCLE` steps all but the last move
    the rows of active groups, as whole steps would; sleeping groups stay where they are, and none wakes up. The last
    one is whole, and in it a sleeper makes as many steps as it has missed, with the gradient that it has now
    (:class:`linbreg.Rows`): without that growth would stall. A step that is in `looks` is whole, and where the active
    part does not pay all are. So a search in which groups may wake up at any step takes none but exact steps.
    """

    kind = "cycle"

    def __init__(self, network: Network, optimizer: torch.optim.Optimizer, clip: float | None = None) -> None:
        super().__init__(network, optimizer, clip)
        assert isinstance(optimizer, RegularizedOptimizer)
        self._whole = optimizer
        self._done = 0
        self._missed = 0  # steps since the last whole one
        self._masks: dict[str, torch.Tensor] = {}  # of the groups that move, between two whole steps
        self._rows: Rows | None = None
        self._alone: ActivePart | None = None

    @property
    def moving(self) -> torch.optim.Optimizer:
        """See `Stepper.moving`."""
        return self.optimizer if self._rows is None else self._rows.optimizer

    def step(self, given: torch.Tensor, loss_of: LossOf) -> float:
        """See `Stepper.step`."""
        looked_at = self.looks is None or self._done + 1 in self.looks
        if looked_at or self._missed + 1 == CYCLE or not self._begun(given):
            value, self._missed = self._whole_step(given, loss_of), 0
        else:
            value, self._missed = self._step_alone(given, loss_of), self._missed + 1
        self._done += 1
        return value

    def _begun(self, given: torch.Tensor) -> bool:
        """Take the rows that are to move alone, where that is not done; returns whether it pays."""
        if self._rows is not None:
            return True
        masks = self._masks or active_masks(self.network)
        # Masks without rows: a cycle that was taken up again. It has begun, whatever this batch would say.
        if not self._masks and not self._pays(masks, given, "alone"):
            return False
        self._masks = masks
        self._rows = Rows(self._whole, self._indices(masks, active=True))
        if self._before_step is not None:
            self._rows.optimizer.register_step_pre_hook(self._before_step)
        self._alone = ActivePart(self.network, masks, self._rows.of)
        return True

    def _step_alone(self, given: torch.Tensor, loss_of: LossOf) -> float:
        assert self._rows is not None
        assert self._alone is not None
        value = self._differentiate(self._alone, list(self._rows.of.values()), given, loss_of)
        if math.isfinite(value):
            self._rows.step()
        return value

    def _whole_step(self, given: torch.Tensor, loss_of: LossOf) -> float:
        self.write_back()
        moved, self._masks = self._masks, {}
        self._rows = self._alone = None
        value = self._exact(given, loss_of, active_masks(self.network))
        if math.isfinite(value):
            sleepers = None
            if moved:
                sleepers = Rows(self._whole, self._indices(moved, active=False), stride=self._missed + 1)
            self.optimizer.step()
            if sleepers is not None:
                sleepers.step()
                sleepers.give_back()
        return value

    def _indices(self, masks: dict[str, torch.Tensor], *, active: bool) -> list[torch.Tensor | None]:
        """Rows of every param group: of the active groups and of all that is not searched, or of the others."""
        sets = self.network.graph.index_sets()
        found: list[torch.Tensor | None] = []
        for names, _ in zip(sets, self._whole.param_groups, strict=False):
            mask = masks[names[0]]
            found.append((mask if active else ~mask).nonzero()[:, 0])
        none = torch.zeros(0, dtype=torch.int64)
        return found + [None if active else none] * (len(self._whole.param_groups) - len(sets))

    def write_back(self) -> None:
        """See `Stepper.write_back`."""
        if self._rows is not None:
            self._rows.give_back()

    def counts(self) -> dict[str, int]:
        """See `Stepper.counts`."""
        self.write_back()
        return super().counts()

    def shrunk(self) -> Network:
        """See `Stepper.shrunk`."""
        self.write_back()
        return super().shrunk()

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """See `Stepper.state`."""
        self.write_back()
        tensors, values = super().state()
        tensors |= {f"active.{name}": mask for name, mask in self._masks.items()}
        return tensors, {**values, "kind": self.kind, "done": self._done, "missed": self._missed}

    def restore(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """See `Stepper.restore`."""
        super().restore(tensors, values)
        self._done, self._missed = values["done"], values["missed"]
        self._masks = under("active", tensors)
        self._rows = self._alone = None


def fits(network: Network, optimizer: torch.optim.Optimizer) -> bool:
    """Whether `ActiveStepper` can do the steps: a rule of what is asked, that gives the same answer at any time.

    It can for convolutions whose sleeping channels emit exactly 0. What an MLP saves the optimiser would take.
    """
    graph = network.graph
    images = any(node.op in ("conv", "upconv") for node in graph.layers())
    return images and has_active_part(graph)


def fits_cycles(network: Network, optimizer: torch.optim.Optimizer) -> bool:
    """Whether `Cycle` can: besides, groups are index sets, and LinBreg has no momentum."""
    sets = len(network.graph.index_sets())
    regularizers = [group["regularizer"] for group in optimizer.param_groups]
    return (
        isinstance(optimizer, AdaBreg | LinBreg)
        and all(isinstance(one, GroupL1) and one.joint for one in regularizers[:sets])
        and not any(isinstance(one, GroupL1) for one in regularizers[sets:])
        and all(group.get("momentum", 0) == 0 for group in optimizer.param_groups)
    )
