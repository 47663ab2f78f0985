"""Which way of doing the steps a search takes."""

import torch

from models import compact_rule, cycle
from models.compact import CompactMlp
from models.network import Network
from models.stepper import Stepper


def stepper_for(
    network: Network, optimizer: torch.optim.Optimizer, clip: float | None = None, *, bfloat16: bool = False
) -> Stepper:
    """A stepper for this network: of an MLP the compact one where that fits; of convolutions one that takes cycles
    wherever its `looks` leave time for them, and exact steps from the active part else; else, and for `bfloat16`, the
    plain one.

    A rule of what is asked for, never of time: the same search takes the same steps wherever and whenever it runs.
    """
    if bfloat16:
        return Stepper(network, optimizer, clip, bfloat16=True)
    if clip is None and compact_rule.fits(network, optimizer):
        return CompactMlp(network, optimizer)
    if cycle.fits(network, optimizer):
        kind = cycle.Cycle if cycle.fits_cycles(network, optimizer) else cycle.ActiveStepper
        return kind(network, optimizer, clip)
    return Stepper(network, optimizer, clip)
