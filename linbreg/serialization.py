"""How is a state_dict stored without a pickle? As flat named tensors and values that JSON can hold."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def pack_state(state_dict: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split a state_dict into tensors named ``"{parameter}.{name}"`` and plain values.

    The tensors are what ``safetensors`` stores, the values what ``json`` does. They share the optimiser's memory
    where it is contiguous: store them before the next step.
    """
    tensors = {
        f"{index}.{name}": value.detach().contiguous()
        for index, state in state_dict["state"].items()
        for name, value in state.items()
    }
    return tensors, {"param_groups": state_dict["param_groups"]}


def unpack_state(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> dict[str, Any]:
    """The state_dict that :func:`pack_state` split."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    groups = [
        {name: tuple(value) if name == "betas" else value for name, value in group.items()}
        for group in values["param_groups"]
    ]
    return {"state": state, "param_groups": groups}
