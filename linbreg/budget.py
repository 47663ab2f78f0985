"""A λ for a size: the quantile of the duals at which the groups above it fill a budget."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

TIE = 1e-5
"""Scores that differ by less than this share are equal: rounding could not keep them apart."""


def quantile_lams(
    scores: Sequence[Tensor], size: Callable[[list[Tensor]], Tensor], limit: float, *, least: int | Sequence[int] = 1
) -> list[float]:
    r"""A λ for every layer, all the same where possible, so that the awake groups have at most the size ``limit``.

    A group is awake iff its score ‖v_g‖/√n_g exceeds λ. In the order of their scores groups are let in while the size
    of what is in stays within the limit; λ lies between the last that is in and the first that is out. Groups whose
    scores are equal (to a share of :data:`TIE`) come in together or not at all. The ``least`` best groups of each
    layer are always in: a layer that would have fewer has a λ of its own.

    Args:
        scores: one tensor (groups,) a layer.
        size: the size that belongs to counts of groups: takes one int64 tensor (n,) a layer, gives a tensor (n,); it
            must not fall when a count rises.
        limit: what ``size`` may be at most; where even the least groups are larger, they alone are in.
        least: groups that are always in, the same for all layers or one number a layer.
    """
    ordered = [layer.detach().double().cpu().sort(descending=True).values for layer in scores]
    floors = [least] * len(ordered) if isinstance(least, int) else least
    first = torch.tensor([min(n, len(layer)) for n, layer in zip(floors, ordered, strict=True)])
    rest = torch.cat([layer[n:] for layer, n in zip(ordered, first.tolist(), strict=True)])
    owner = torch.cat(
        [torch.full((len(layer) - int(n),), i) for i, (layer, n) in enumerate(zip(ordered, first, strict=True))]
    )
    rest, order = rest.sort(descending=True, stable=True)
    joined = torch.nn.functional.one_hot(owner[order], len(ordered)).cumsum(0)
    counts = torch.cat([torch.zeros(1, len(ordered), dtype=torch.int64), joined]) + first
    fits = int((size(list(counts.T)).double() <= limit).sum())  # beside a float, whole numbers would become float32
    taken = max(fits - 1, 0)
    while 0 < taken < len(rest) and rest[taken - 1] <= rest[taken] * (1 + TIE):
        taken -= 1
    lam = _between(rest[taken - 1] if taken else None, rest[taken] if taken < len(rest) else None)
    lams = []
    for layer, floor in zip(ordered, first.tolist(), strict=True):
        n = floor
        while 1 < n < len(layer) and layer[n - 1] <= layer[n] * (1 + TIE):
            n -= 1
        own = _between(layer[n - 1], layer[n] if n < len(layer) else None)
        lams.append(min(lam, own) if float(layer[n - 1]) <= lam * (1 + TIE) else lam)
    return lams


def _between(above: Tensor | None, below: Tensor | None) -> float:
    """A threshold that lets ``above`` in and keeps ``below`` out, where there is a way."""
    if below is None:
        return 0.0 if above is None else float(above) / 2
    if above is None:
        return float(below) * (1 + TIE)
    return (float(above) + float(below)) / 2
