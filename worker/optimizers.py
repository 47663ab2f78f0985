"""The optimiser that a specification asks for, with a group a neuron where neurons are searched."""

from linbreg import (
    AdaBreg,
    LambdaSchedule,
    LassoAdam,
    LassoSGD,
    LinBreg,
    ProxAdam,
    ProxSGD,
    RegularizedOptimizer,
)
from models.groups import parameter_groups
from models.network import Network
from spec import method


def optimizer(network: Network, how: method.Method) -> RegularizedOptimizer:
    """Build it for `network` as it is now: the dual starts from these weights.

    SGD and Adam are the proximal ones with λ = 0.
    """
    groups = parameter_groups(network, how.start_lam)
    match how:
        case method.AdaBreg():
            return AdaBreg(
                groups, lr=how.lr, delta=how.delta, betas=how.betas, eps=how.eps, weight_decay=how.weight_decay
            )
        case method.LinBreg():
            return LinBreg(groups, lr=how.lr, delta=how.delta, momentum=how.momentum, weight_decay=how.weight_decay)
        case method.ProxAdam() | method.Adam():
            return ProxAdam(groups, lr=how.lr, betas=how.betas, eps=how.eps, weight_decay=how.weight_decay)
        case method.ProxSGD() | method.SGD():
            return ProxSGD(groups, lr=how.lr, momentum=how.momentum, weight_decay=how.weight_decay)
        case method.Lasso() if how.base == "adam":
            return LassoAdam(groups, lr=how.lr, weight_decay=how.weight_decay)
        case method.Lasso():
            return LassoSGD(groups, lr=how.lr, weight_decay=how.weight_decay)
    raise TypeError(f"{how!r} is no method that this version runs")


def lam_schedule(stepper: RegularizedOptimizer, how: method.Method, steps: int) -> LambdaSchedule | None:
    """What moves λ over `steps` of a search, where the specification asks for it."""
    asked = how.lam_schedule if isinstance(how, method.ProxAdam | method.ProxSGD) else None
    if asked is None:
        return None
    return LambdaSchedule(stepper, start=how.start_lam, end=asked.end, steps=steps, shape=asked.shape)
