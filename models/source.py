"""The generated `model.py`: the found network as plain PyTorch that needs torch and safetensors alone."""

import itertools
import math

import torch

from models.generated import ANY_SIZE, CHECK_SIZE, FILE, NEEDS, RUN, TILED, USAGE
from models.network import Network, reads
from models.ops import OPS, Constant, UpConv
from spec.graph import Activation, Graph

_CALL: dict[Activation, str] = {
    "none": "{}",
    "silu": "F.silu({})",
    "gelu": "F.gelu({})",
    "relu": "F.relu({})",
    "sigmoid": "torch.sigmoid({})",
}


def source(network: Network, title: str, *, masks: bool = False) -> str:
    """The text of `model.py` for a (shrunk) network; `title` is its first line.

    `masks` says that the output channels of an image are the classes of its pixels.
    """
    graph, kind = network.graph, _kind(network, masks)
    any_size = graph.takes_any_size
    given = "image" if len(graph.input_shape) == 3 else "x"
    names = _names(graph)
    lines = []
    for node in graph.nodes:
        read = [names[name] for name in reads(node)] or [given]
        expression = OPS[node.op].emit(node, network.part(node), read)
        lines.append(f"{names[node.name]} = {_CALL[node.activation].format(expression)}")
    shape = [graph.input_shape, graph.output_shape]
    out = names[graph.nodes[-1].name]
    if any_size:
        texts = [f"{channels}, height, width" for channels, *_ in shape]
    else:
        texts = [", ".join(map(str, one)) for one in shape]
        out = f"{out}.reshape(-1, *OUTPUT_SHAPE)"
    lines.append(
        f"return {out} * self.output_std + self.output_mean" if network.outputs is not None else f"return {out}"
    )
    run = RUN[kind].replace("$check", "" if any_size else CHECK_SIZE)
    if any_size:
        run = TILED + run.replace("load(folder)(", "tiled(load(folder), ")
    return FILE.substitute(
        title=title.replace("\\", " ").replace('"', "'"),
        sizes=ANY_SIZE.format(graph.reach(), graph.stride()) if any_size else "",
        input_shape=repr(shape[0]),
        output_shape=repr(shape[1]),
        input_text=texts[0],
        output_text=texts[1],
        input=given,
        init="\n".join(f"        {line}" for line in _init(network)),
        forward="\n".join(f"        {line}" for line in lines),
        run=run,
        needs=NEEDS[kind],
        usage=USAGE[kind],
    )


def tensors(network: Network) -> dict[str, torch.Tensor]:
    """The contents of `model.safetensors`: the state of the generated class, contiguous float32 on the CPU."""
    state = {"mean": network.inputs.mean, "std": network.inputs.std}
    if network.outputs is not None:
        state |= {"output_mean": network.outputs.mean, "output_std": network.outputs.std}
    for name, layer in network.layers.items():
        mark = "_" if isinstance(layer, Constant) else "."
        state |= {f"{name}{mark}{key}": value for key, value in layer.state_dict().items()}
        if isinstance(layer, UpConv):  # torch's own has its output channels along dimension 1
            state[f"{name}.weight"] = layer.weight.transpose(0, 1)
    for name, scalars in network.scalars.items():
        state[f"{name}_scalars"] = scalars
    for name, place in network.places.items():
        state |= {f"{name}_{key}": value for key, value in place.state_dict().items()}
    return {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}


def _names(graph: Graph) -> dict[str, str]:
    """A variable for every node: x, unless another node than the next one reads it."""
    following = {a.name: b.name for a, b in itertools.pairwise(graph.nodes)}
    elsewhere = {name for node in graph.nodes for name in reads(node) if following[name] != node.name}
    return {node.name: node.name if node.name in elsewhere else "x" for node in graph.nodes}


def _init(network: Network) -> list[str]:
    lines = []
    for key, value in tensors(network).items():
        if "." not in key:
            dtype = "" if value.dtype.is_floating_point else ", dtype=torch.int64"
            lines.append(f'self.register_buffer("{key}", torch.zeros({tuple(value.shape)}{dtype}))')
    for node in network.graph.layers():
        declare = OPS[node.op].declare
        if declare is not None:
            lines.append(f"self.{node.name} = {declare(network.part(node))}")
    return lines


def _kind(network: Network, masks: bool) -> str:
    given, made = network.graph.input_shape, network.graph.output_shape
    drawable = (1, 3, 4)
    if len(given) != 3 or given[0] not in drawable:
        return "array" if network.graph.takes_any_size else "table"
    if len(made) != 3:
        return "class" if math.prod(made) > 1 and network.outputs is None else "table"
    if masks:
        return "mask"
    return "image" if made[0] in drawable else "array"
