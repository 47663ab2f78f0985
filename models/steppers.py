"""Which way of doing the steps a search takes: the cheapest that gives the same."""

import torch

from models import compact
from models.network import Network
from models.stepper import Stepper


def stepper_for(network: Network, optimizer: torch.optim.Optimizer, clip: float | None = None) -> Stepper:
    """A stepper for this network: compact where that fits, else plain.

    A rule of what is asked for, never of time: the same search takes the same steps wherever and whenever it runs.
    """
    if clip is None and compact.fits(network, optimizer):
        return compact.CompactMlp(network, optimizer)
    return Stepper(network, optimizer, clip)
