"""The optimiser that a specification asks for, with a group a neuron where neurons are searched."""

import torch

from linbreg import AdaBreg, LinBreg, ProxAdam, ProxSGD
from models.groups import parameter_groups
from models.network import Network
from spec import method


def optimizer(network: Network, how: method.Method) -> torch.optim.Optimizer:
    """Build it for `network` as it is now: the dual starts from these weights."""
    groups = parameter_groups(network, how.start_lam)
    match how:
        case method.AdaBreg():
            return AdaBreg(
                groups, lr=how.lr, delta=how.delta, betas=how.betas, eps=how.eps, weight_decay=how.weight_decay
            )
        case method.LinBreg():
            return LinBreg(groups, lr=how.lr, delta=how.delta, momentum=how.momentum, weight_decay=how.weight_decay)
        case method.ProxAdam():
            return ProxAdam(groups, lr=how.lr, betas=how.betas, eps=how.eps, weight_decay=how.weight_decay)
        case method.ProxSGD():
            return ProxSGD(groups, lr=how.lr, momentum=how.momentum, weight_decay=how.weight_decay)
    raise TypeError(f"{how!r} is no method that this version runs")
