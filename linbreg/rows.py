"""Some rows of the tensors of an optimiser, as an optimiser of its own."""

import copy
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from linbreg.optimizer import RegularizedOptimizer


class Rows:
    r"""Takes rows of the parameters and of all state of ``whole``, to move them apart from the others.

    ``optimizer`` is one of the same kind and settings, whose parameters are copies of these rows. Groups that run over
    rows, such as those of :class:`GroupL1`, move in it as they do in the whole. ``of`` has for every parameter of the
    whole the one that holds its rows.

    With ``stride`` n a step stands for n steps of the whole with one gradient. It has the length nτ and the
    coefficients βⁿ, so that Adam's bias corrections are those of the step of the whole that it is taken with.

    Args:
        whole: the optimiser; with a ``stride`` without momentum of :class:`LinBreg`
        rows: for every param group the indices along dimension 0 of each of its tensors; None for all of them: then
            the parameters are those of the whole
        stride: n
    """

    def __init__(self, whole: RegularizedOptimizer, rows: Sequence[Tensor | None], *, stride: int = 1) -> None:
        self.whole, self.stride = whole, stride
        self.optimizer: RegularizedOptimizer = copy.copy(whole)
        self.optimizer.state = defaultdict(dict)
        self.optimizer.param_groups = []
        self.of: dict[Tensor, torch.nn.Parameter] = {}
        self._taken: list[tuple[Tensor, Tensor]] = []
        for group, indices in zip(whole.param_groups, rows, strict=True):
            for param in group["params"]:
                self.of[param] = self._take(param, indices)
            self.optimizer.param_groups.append({**group, "params": [self.of[param] for param in group["params"]]})

    def _take(self, param: torch.nn.Parameter, rows: Tensor | None) -> torch.nn.Parameter:
        states = self.optimizer.state
        if rows is None:
            states[param] = self.whole.state[param]
            return param
        own = torch.nn.Parameter(param.detach().index_select(0, rows))
        if param.grad is not None:
            own.grad = param.grad.index_select(0, rows)
        self._taken.append((param, rows))
        for name, value in self.whole.state[param].items():
            if name == "step":
                states[own][name] = (value + 1) / self.stride - 1
            else:
                states[own][name] = value.index_select(0, rows)
        return own

    def step(self) -> None:
        """A step from the gradients of these rows; it has the lr that the whole has now."""
        for own, group in zip(self.optimizer.param_groups, self.whole.param_groups, strict=True):
            own["lr"] = group["lr"] * self.stride
            if "betas" in group:
                own["betas"] = tuple(beta**self.stride for beta in group["betas"])
        self.optimizer.step()

    @torch.no_grad()
    def give_back(self) -> None:
        """Write these rows into the whole; the number of steps too, but not with a stride."""
        for param, rows in self._taken:
            own, state = self.of[param], self.whole.state[param]
            param.index_copy_(0, rows, own)
            for name, value in self.optimizer.state[own].items():
                if name != "step":
                    state[name].index_copy_(0, rows, value)
                elif self.stride == 1:
                    state[name].copy_(value)
