"""A search in cycles: most steps train the active part alone, every few a whole step moves the sleepers too.

A *relaxation*: it is not the search that takes whole steps alone. In a cycle of n steps the first n − 1 move the rows
of active groups, as whole steps would; sleeping groups stay where they are, and none wakes up. The last one is whole,
and in it the sleepers make n steps with the gradient that they have now (:class:`linbreg.Rows`). Without that growth
would stall.
"""

from collections.abc import Callable
from typing import Final

import torch

from linbreg import Rows, RegularizedOptimizer
from models.active_part import ActivePart
from models.groups import active_masks
from models.network import Network
from models.selection import Selection

LENGTH: Final = 5
"""Steps of a cycle."""

Loss = Callable[[torch.Tensor], torch.Tensor]


class Cycle:
    """Takes the steps of a search of `network` in cycles.

    `optimizer` has the groups of `models.groups.parameter_groups`; `selection` is what keeps the search at a size, and
    `clip` the largest norm of a step's gradient. Between two whole steps the network and the state of the optimiser are
    behind: :meth:`settle` brings them up to date.
    """

    def __init__(
        self,
        network: Network,
        optimizer: RegularizedOptimizer,
        selection: Selection | None = None,
        clip: float | None = None,
    ) -> None:
        self.network, self.optimizer, self.selection, self.clip = network, optimizer, selection, clip
        self.since = 0
        """Steps since the last whole one."""
        self._rows: Rows | None = None
        self._part: ActivePart | None = None

    def step(self, given: torch.Tensor, loss_of: Loss, *, whole: bool = False) -> float:
        """One step; a whole one where it is time for it, or where it is asked for. Returns the loss before it."""
        self.since += 1
        return self._whole(given, loss_of) if whole or self.since >= LENGTH else self._alone(given, loss_of)

    def settle(self) -> None:
        """Bring the network and the optimiser up to date."""
        if self._rows is not None:
            self._rows.give_back()

    def _alone(self, given: torch.Tensor, loss_of: Loss) -> float:
        if self._rows is None or self._part is None:
            masks = active_masks(self.network)
            rows = self._indices(masks)
            self._rows = Rows(self.optimizer, rows)
            self._part = ActivePart(self.network, masks, self._rows.of)
            self._attend(self._rows.optimizer)
        loss = _gradients(self._rows.optimizer, self._part, given, loss_of, self.clip)
        self._rows.step()
        return loss

    def _whole(self, given: torch.Tensor, loss_of: Loss) -> float:
        if self._rows is not None:
            self._rows.give_back()
            self._rows = self._part = None
        self._attend(self.optimizer)
        masks = active_masks(self.network)
        part = ActivePart(self.network, masks)
        ...
