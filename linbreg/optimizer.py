"""What do all our optimisers share? Param groups with a regulariser, the loop of a step, and exact resuming."""

import difflib
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from linbreg.regularizer import Regularizer


class RegularizedOptimizer(Optimizer):
    """A :class:`torch.optim.Optimizer` whose param groups may hold a ``"regularizer"``; without one J ≡ 0.

    Parameters without a gradient are left alone. Where a regulariser is *joint* its tensors move as one: as soon
    as one of them has a gradient, the prox is applied to all.

    A gradient that is not finite is not caught: its parameters become NaN, as in ``torch.optim``. Check the loss.

    :meth:`state_dict` holds tensors and plain values only. A regulariser is described there (kind, lam, …) and
    not pickled; :meth:`load_state_dict` sets ``lam`` of the regularisers that this optimiser already has.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        super().__init__(params, {**defaults, "regularizer": None})

    @abstractmethod
    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        """Move the ``params`` of one param group, those that have a gradient."""

    def _init_state(self, group: dict[str, Any]) -> None:
        """Create the state of a new param group."""

    def _check_group(self, group: dict[str, Any]) -> None:
        """Raise where the settings of a param group make no sense."""
        check_number("lr", group["lr"], 0.0)
        check_number("weight_decay", group["weight_decay"], 0.0)
        regularizer = group["regularizer"]
        if regularizer is None:
            for key in difflib.get_close_matches("regularizer", group.keys() - {"regularizer"}, cutoff=0.8):
                raise ValueError(f"a param group has the key {key!r}; did you mean 'regularizer'?")
        elif not isinstance(regularizer, Regularizer):
            raise TypeError(f"'regularizer' must be a Regularizer such as GroupL1(lam=0.1), got {regularizer!r}")
        else:
            regularizer.check(group["params"])
        for param in group["params"]:
            if not param.is_floating_point():
                raise TypeError(f"{type(self).__name__} takes real floating point parameters, got {param.dtype}")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a param group, with its state; refused as a whole where a setting makes no sense."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._check_group(group)
        except Exception:
            self.param_groups.pop()
            raise
        self._init_state(group)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Perform one step; ``closure``, if given, computes the gradients anew and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            if params:
                self._update(group, params, [gradient(param) for param in params])
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values: what :func:`linbreg.pack_state` can store without a pickle."""
        state_dict = super().state_dict()
        for group in state_dict["param_groups"]:
            if group["regularizer"] is not None:
                group["regularizer"] = group["regularizer"].config()
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copy a state into this optimiser, which then goes on exactly as the one that gave it.

        The parameters must be those of that moment too, the regularisers of the same kind; their ``lam`` is set.
        """
        regularizers = [group["regularizer"] for group in self.param_groups]
        saved = [group.get("regularizer") for group in state_dict["param_groups"]]
        for index, (ours, theirs) in enumerate(zip(regularizers, saved, strict=False)):
            _check_same_kind(index, ours, theirs)
        self._check_state(state_dict)

        # The base class deep-copies the groups: our regularisers must stay the objects that others hold.
        bare = [{**group, "regularizer": None} for group in state_dict["param_groups"]]
        super().load_state_dict({**state_dict, "param_groups": bare})
        for group, regularizer, settings in zip(self.param_groups, regularizers, saved, strict=True):
            group["regularizer"] = regularizer
            if regularizer is not None:
                regularizer.lam = settings["lam"]
            for param in group["params"]:
                self.state[param] = {name: own_copy(name, value, param) for name, value in self.state[param].items()}

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        """Raise where a saved state does not fit our parameters (the base class compares no shapes)."""
        pairs = zip(self.param_groups, state_dict["param_groups"], strict=False)
        for ours, theirs in pairs:
            for param, index in zip(ours["params"], theirs["params"], strict=False):
                state = state_dict["state"].get(index, {})
                if missing := self.state[param].keys() - state.keys():
                    raise ValueError(
                        f"this is no state of {type(self).__name__}: parameter {index} lacks {sorted(missing)}"
                    )
                for name, value in state.items():
                    if name != "step" and value.shape != param.shape:
                        raise ValueError(
                            f"{name!r} of parameter {index} has shape {tuple(value.shape)}, "
                            f"the parameter {tuple(param.shape)}"
                        )


def gradient(param: Tensor) -> Tensor:
    """The gradient of a parameter, laid out in memory like it: fused kernels walk both by one pointer."""
    grad = param.grad
    assert grad is not None
    if grad.is_sparse:
        raise RuntimeError("sparse gradients are not supported: build the embedding with sparse=False")
    return grad if grad.stride() == param.stride() else torch.empty_like(param).copy_(grad)


def own_copy(name: str, value: Tensor, param: Tensor) -> Tensor:
    """A copy of a tensor of the state where a step expects it; a loaded one may be shared with its giver."""
    if name == "step":
        return value.detach().clone().to(param.device if has_fused(param) else "cpu", torch.float32)
    return torch.empty_like(param).copy_(value)


def has_fused(param: Tensor) -> bool:
    """Whether PyTorch has a fused Adam for the device of this parameter."""
    return param.device.type in ("cpu", "cuda", "mps", "xpu")


def check_number(name: str, value: Any, low: float, high: float = math.inf, *, above: bool = False) -> None:
    """Raise unless ``value`` is a number in [low, high), or in (low, high) where it must be ``above``."""
    if isinstance(value, Tensor):
        raise TypeError(f"{name} must be a plain number, got a tensor: write float(…)")
    if not (low <= value < high) or (above and value == low):
        bound = f"{'greater than' if above else 'at least'} {low:g}"
        below = "finite" if math.isinf(high) else f"less than {high:g}"
        raise ValueError(f"{name} must be {bound} and {below}, got {value}")


def _check_same_kind(index: int, ours: Regularizer | None, theirs: dict[str, Any] | None) -> None:
    mine = None if ours is None else {k: v for k, v in ours.config().items() if k != "lam"}
    other = None if theirs is None else {k: v for k, v in theirs.items() if k != "lam"}
    if mine != other:
        raise ValueError(f"param group {index} has the regularizer {ours}, the saved state one of {theirs}")
