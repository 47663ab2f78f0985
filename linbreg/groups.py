"""Sparse neurons, channels and kernels: sums of the norms of groups."""

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from linbreg.regularizer import Regularizer, total


class GroupNorm(Regularizer):
    r"""λ Σ_g √n_g ‖θ_g‖₂ over groups that the dimensions :meth:`kept` of a tensor number.

    n_g is a group's size. prox: x_g · max(0, 1 − sλ√n_g/‖x_g‖).
    """

    @abstractmethod
    def kept(self, param: Tensor) -> tuple[int, ...]:
        """The dimensions whose indices number the groups; a group runs over all the others."""

    def value(self, params: Sequence[Tensor]) -> Tensor:
        """λ Σ_g √n_g ‖θ_g‖₂."""
        self.check(params)
        pairs = zip(self._norms(params), self._thresholds(params, 1.0), strict=True)
        return total([threshold * norm.sum() for norm, threshold in pairs])

    def prox_into(self, out: Sequence[Tensor], params: Sequence[Tensor], step: float, scale: float = 1.0) -> None:
        """Shrink the norm of every group by step·λ√n_g, to exact zeros where it is smaller."""
        if step * self.lam == 0:
            factors = [torch.full((), scale, dtype=param.dtype, device=param.device) for param in params]
        else:
            norms = self._norms(params)
            # (‖x‖ − t)/‖x‖ and not 1 − t/‖x‖: the difference is exact near t, so a group is on iff ‖x‖ > t.
            shrink = torch._foreach_sub(norms, self._thresholds(params, step))
            torch._foreach_clamp_min_(shrink, 0.0)
            torch._foreach_clamp_min_(norms, torch.finfo(torch.float32).tiny)
            torch._foreach_div_(shrink, norms)
            if scale != 1.0:
                torch._foreach_mul_(shrink, scale)
            factors = self._spread(shrink, params)
        for to, param, factor in zip(out, params, factors, strict=True):
            torch.mul(param, factor, out=to)

    @torch.no_grad()
    def sub_gradient(self, params: Sequence[Tensor]) -> list[Tensor]:
        """λ√n_g θ_g/‖θ_g‖, and 0 on zero groups."""
        self.check(params)
        pairs = zip(self._norms(params), self._thresholds(params, 1.0), strict=True)
        factors = [torch.where(norm > 0, threshold / norm, 0.0) for norm, threshold in pairs]
        spread = self._spread(factors, params)
        return [(param * factor).to(param.dtype) for param, factor in zip(params, spread, strict=True)]

    @torch.no_grad()
    def active(self, params: Sequence[Tensor]) -> list[Tensor]:
        """Masks over the groups, shaped like the dimensions :meth:`kept`."""
        self.check(params)
        masks = []
        for param in params:
            members = self._members(param)
            masks.append((param != 0).any(dim=members) if members else param != 0)
        return [torch.stack(masks).any(dim=0)] if self.joint and masks else masks

    @torch.no_grad()
    def scores(self, params: Sequence[Tensor]) -> list[Tensor]:
        """‖x_g‖/√n_g of every group, whatever λ is: with the dual for x, a group is awake iff this exceeds λ."""
        pairs = zip(self._norms(params), self._sizes(params), strict=True)
        return [norm / math.sqrt(size) for norm, size in pairs]

    def _members(self, param: Tensor) -> tuple[int, ...]:
        """The dimensions a group runs over."""
        kept = self.kept(param)
        return tuple(dim for dim in range(param.ndim) if dim not in kept)

    def _norms(self, params: Sequence[Tensor]) -> list[Tensor]:
        """‖θ_g‖, a tensor over the groups of each param; a single one where they are joint."""
        norms = [group_norms(param, self._members(param)) for param in params]
        return [joint_norms(norms)] if self.joint and norms else norms

    def _thresholds(self, params: Sequence[Tensor], step: float) -> list[float]:
        """step·λ√n_g, in the order of :meth:`_norms`."""
        return [step * self.lam * math.sqrt(size) for size in self._sizes(params)]

    def _sizes(self, params: Sequence[Tensor]) -> list[int]:
        """n_g, in the order of :meth:`_norms`."""
        sizes = [math.prod(param.shape[dim] for dim in self._members(param)) for param in params]
        return [sum(sizes)] if self.joint and sizes else sizes

    def _spread(self, values: Sequence[Tensor], params: Sequence[Tensor]) -> list[Tensor]:
        """Values over groups as views that broadcast against each param."""
        if self.joint:
            values = [*values] * len(params)
        views = []
        for value, param in zip(values, params, strict=True):
            kept = self.kept(param)
            views.append(value.view([n if dim in kept else 1 for dim, n in enumerate(param.shape)]))
        return views


class GroupL1(GroupNorm):
    r"""λ Σ_g √n_g ‖θ_g‖₂ over the rows of each tensor: neurons and channels.

    A row of a Linear's weight is a neuron; a row of a Conv2d's, the whole filter, is an output channel. The
    output channels of a ConvTranspose2d lie along ``dim=1`` (its option ``groups`` must be 1). The entries of a
    one-dimensional tensor, such as a bias, are rows of size one, whatever ``dim``.

    Args:
        lam: the weight λ; a plain attribute, which may change while training.
        joint: bind row i of *all* tensors of the param group into one group. With ``[weight, bias]`` of a Linear
            a group is a whole neuron and n_g = n_in + 1. A param group then is one layer.
        dim: the dimension that numbers the groups.
    """

    def __init__(self, lam: float, joint: bool = False, dim: int = 0) -> None:
        super().__init__(lam)
        if dim < 0:
            raise ValueError(f"GroupL1: dim must not be negative, got {dim}")
        self.joint = joint
        self.dim = dim

    def kept(self, param: Tensor) -> tuple[int, ...]:
        """``dim``, and the only dimension of a vector."""
        return (0 if param.ndim == 1 else self.dim,)

    def check(self, params: Sequence[Tensor]) -> None:
        """Every tensor needs the dimension ``dim``; joint ones as many rows as each other."""
        super().check(params)
        for param in params:
            if param.ndim == 0 or (param.ndim > 1 and self.dim >= param.ndim):
                raise ValueError(f"{self}: a tensor of shape {tuple(param.shape)} has no dimension {self.dim}")
        rows = [param.shape[self.kept(param)[0]] for param in params]
        if self.joint and len(set(rows)) > 1:
            shapes = ", ".join(str(tuple(param.shape)) for param in params)
            raise ValueError(
                f"{self}: a joint group binds row i of every tensor of its param group, so all need equally many "
                f"rows; shapes {shapes} have {rows}. Give each layer a param group of its own"
            )

    def config(self) -> dict[str, str | float | int | bool]:
        """Kind, ``lam``, ``joint`` and ``dim``."""
        return {**super().config(), "joint": self.joint, "dim": self.dim}


class KernelGroupL1(GroupNorm):
    r"""λ Σ_g √n_g ‖θ_g‖₂ over the single kernels of a convolution, (out, in) of them.

    The groups of the code of Bungert, Roith, Tenbrinck and Burger (JMLR 23(192), 2022). They find missing
    *connections* between channels and remove no channel; for channels take :class:`GroupL1`.
    """

    def kept(self, param: Tensor) -> tuple[int, ...]:
        """Output and input channel."""
        return (0, 1)

    def check(self, params: Sequence[Tensor]) -> None:
        """Only weights of convolutions have kernels."""
        super().check(params)
        for param in params:
            if param.ndim < 3:
                raise ValueError(
                    f"{self} takes weights of convolutions, a tensor of shape {tuple(param.shape)} has no kernels: "
                    "give it a param group of its own"
                )


def group_norms(param: Tensor, members: tuple[int, ...]) -> Tensor:
    """Norms over the dimensions ``members``, in float32 at least."""
    dtype = torch.promote_types(param.dtype, torch.float32)
    if not members:
        return param.abs().to(dtype)
    trailing = members[0] == param.ndim - len(members)
    # Over leading dimensions vector_norm is many times slower on a CPU; but only it has a slope of 0 at 0.
    if trailing or torch.is_grad_enabled():
        norms: Tensor = torch.linalg.vector_norm(param, dim=members, dtype=dtype)
        return norms
    return param.to(dtype).square().sum(dim=members).sqrt_()


def joint_norms(norms: list[Tensor]) -> Tensor:
    """Norms of groups from those of their parts."""
    if torch.is_grad_enabled():
        joint: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
        return joint
    squares = norms[0].square()
    for norm in norms[1:]:
        squares = squares + norm.square()  # not in place: a part may be of a wider dtype
    return squares.sqrt_()
