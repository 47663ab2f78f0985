"""The optimiser that a specification asks for, with a group a neuron where neurons are searched."""

from typing import Any

from linbreg import (
    L1,
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

SKIP_LR, SKIP_EPS = 0.1, 1.0
"""AdaBreg's step and ε for the scalars of skips. With Adam's ε they move by the step whatever the gradient is, and
noise alone wakes them; with this one they move as with LinBreg."""


def optimizer(network: Network, how: method.Method, lam: float | None = None) -> RegularizedOptimizer:
    """Build it for `network` as it is now: the dual starts from these weights, with `lam` or the method's own λ.

    SGD and Adam are the proximal ones with λ = 0.
    """
    form = how.groups if isinstance(how, method.Bregman | method.ProxAdam | method.ProxSGD) else "filters"
    groups = parameter_groups(network, how.start_lam if lam is None else lam, _skips(how), groups=form)
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


def _skips(how: method.Method) -> dict[str, Any] | None:
    """Settings for the scalars of skips: ℓ1, and where it needs one a step of its own."""
    if not isinstance(how, method.Bregman):
        return None
    regularizer = L1(how.default_skip_lam if how.skip_lam is None else how.skip_lam)
    if isinstance(how, method.LinBreg):
        return {"regularizer": regularizer}
    return {"regularizer": regularizer, "eps": SKIP_EPS, "lr": SKIP_LR, "lr_factor": SKIP_LR / how.lr}


def lam_schedule(stepper: RegularizedOptimizer, how: method.Method, steps: int) -> LambdaSchedule | None:
    """What moves λ over `steps` of a search, where the specification asks for it."""
    asked = how.lam_schedule if isinstance(how, method.ProxAdam | method.ProxSGD) else None
    if asked is None:
        return None
    return LambdaSchedule(stepper, start=how.start_lam, end=asked.end, steps=steps, shape=asked.shape)
