"""The found network as one ONNX file, with preprocessing inside, a dynamic batch, and where it can any image size."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from models.network import Network, reads
from models.ops import Affine, Place, UpConv
from spec.node import Activation, Node, Op

OPSET: Final = 17
IR: Final = 8
"""Of ONNX 1.12, so that runtimes of 2022 and later can read it."""


def export(network: Network, metadata: dict[str, str]) -> bytes:
    """The ONNX model of `network`: input `input`, output `output`, float32, shapes inferred.

    The batch is dynamic, and height and width too where the network takes images of any size. The bytes follow from
    the network and `metadata` alone. Every value is named after the node of the graph of groups that it belongs to.
    """
    graph = network.graph
    writer = _Writer()
    values: dict[str, str] = {}
    for node in graph.nodes:
        writer.node = node.name
        read = [values[name] for name in reads(node)] or ["input"]
        value = _OPS[node.op](writer, node, network.part(node), read)
        values[node.name] = _ACTIVATIONS[node.activation](writer, value)
    writer.node = "output"
    out = values[graph.nodes[-1].name]
    if not graph.takes_any_size:
        out = writer.add("Reshape", out, writer.integers([-1, *graph.output_shape]))
    if network.outputs is not None:
        out = writer.add("Mul", out, writer.floats(network.outputs.std))
        out = writer.add("Add", out, writer.floats(network.outputs.mean))
    writer.add("Identity", out, to="output")

    def described(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
        dims = [shape[0], "height", "width"] if graph.takes_any_size else [*shape]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims])

    made = helper.make_graph(
        writer.nodes, "network", [described("input", graph.input_shape)], [described("output", graph.output_shape)],
        initializer=writer.tensors,
    )  # fmt: skip
    model = helper.make_model(
        made, producer_name="Bregnas", ir_version=IR, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, dict(sorted(metadata.items())))
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


class _Writer:
    """Gathers the operations and constants of a model; names begin with that of the `node` at hand."""

    def __init__(self) -> None:
        self.node = ""
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def add(self, op: str, *values: str, to: str = "", **attributes: Any) -> str:
        """An operation on these values; returns the name of its value."""
        to = to or f"{self.node}/{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, values, [to], name=to, **attributes))
        return to

    def floats(self, tensor: torch.Tensor) -> str:
        """A constant float32 tensor."""
        return self._constant(tensor.detach().cpu().float().contiguous().numpy())

    def integers(self, numbers: Sequence[int]) -> str:
        """A constant row of int64."""
        return self._constant(np.asarray(numbers, dtype=np.int64))

    def size(self, value: str, start: int, end: int | None = None) -> str:
        """Some of the dimensions of a value: 0 is the batch, 2 and 3 are height and width."""
        attributes: dict[str, Any] = {"start": start} if end is None else {"start": start, "end": end}
        return self.add("Shape", value, **attributes)

    def cropped(self, value: str, like: str) -> str:
        """An image cut to the height and width of another."""
        return self.add("Slice", value, self.integers([0, 0]), self.size(like, 2), self.integers([2, 3]))

    def _constant(self, array: Any) -> str:
        name = f"{self.node}/constant{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(array, name))
        return name


def _input(to: _Writer, node: Node, part: Affine, values: Sequence[str]) -> str:
    return to.add("Div", to.add("Sub", values[0], to.floats(part.mean)), to.floats(part.std))


def _linear(to: _Writer, node: Node, part: torch.nn.Linear, values: Sequence[str]) -> str:
    return to.add("Gemm", values[0], to.floats(part.weight), to.floats(part.bias), transB=1)


def _conv(to: _Writer, node: Node, part: torch.nn.Conv2d, values: Sequence[str]) -> str:
    assert part.bias is not None
    pads = [node.kernel // 2] * 4
    return to.add("Conv", values[0], to.floats(part.weight), to.floats(part.bias), pads=pads)


def _upconv(to: _Writer, node: Node, part: UpConv, values: Sequence[str]) -> str:
    weight, bias = to.floats(part.weight.transpose(0, 1)), to.floats(part.bias)
    return to.cropped(to.add("ConvTranspose", values[0], weight, bias, strides=[2, 2]), values[1])


def _constant(to: _Writer, node: Node, part: Any, values: Sequence[str]) -> str:
    shape = to.add(
        "Concat", to.size(values[0], 0, 1), to.integers([node.width]), to.size(values[0], 2), axis=0
    )  # fmt: skip
    return to.add("Expand", to.floats(part.bias.view(1, -1, 1, 1)), shape)


def _pool(to: _Writer, node: Node, part: None, values: Sequence[str]) -> str:
    kind = "MaxPool" if node.mode == "max" else "AveragePool"
    return to.add(kind, values[0], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)


def _up(to: _Writer, node: Node, part: None, values: Sequence[str]) -> str:
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if node.mode == "nearest":
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    twice = to.floats(torch.tensor([1.0, 1.0, 2.0, 2.0]))
    return to.cropped(to.add("Resize", values[0], "", twice, **how), values[1])


def _sum(to: _Writer, node: Node, scalars: torch.Tensor | None, values: Sequence[str]) -> str:
    plain = len(node.plain)
    terms = [*values[:plain]]
    if scalars is not None:
        terms += [to.add("Mul", value, to.floats(scalars[k])) for k, value in enumerate(values[plain:])]
    total = terms[0]
    for term in terms[1:]:
        total = to.add("Add", total, term)
    return total


def _place(to: _Writer, node: Node, part: Place | None, values: Sequence[str]) -> str:
    if part is None:
        return values[0]
    shape = to.add("Concat", to.size(values[0], 0, 1), to.integers([len(part.constant)]), axis=0)
    sleeping = to.add("Expand", to.floats(part.constant), shape)
    joined = to.add("Concat", values[0], sleeping, axis=1)
    return to.add("Gather", joined, to.integers(part.order.tolist()), axis=1)


_Write = Callable[[_Writer, Node, Any, Sequence[str]], str]
_OPS: Final[Mapping[Op, _Write]] = {
    "input": _input,
    "flatten": lambda to, node, part, values: to.add("Flatten", values[0], axis=1),
    "concat": lambda to, node, part, values: to.add("Concat", *values, axis=1),
    "linear": _linear,
    "conv": _conv,
    "upconv": _upconv,
    "constant": _constant,
    "pool": _pool,
    "up": _up,
    "sum": _sum,
    "place": _place,
}


def _silu(to: _Writer, value: str) -> str:
    return to.add("Mul", value, to.add("Sigmoid", value))


def _gelu(to: _Writer, value: str) -> str:
    """x · ½(1 + erf(x/√2)); an operation of its own came with a later opset."""
    inner = to.add("Erf", to.add("Mul", value, to.floats(torch.tensor(0.5).sqrt())))
    half = to.add("Mul", value, to.floats(torch.tensor(0.5)))
    return to.add("Mul", half, to.add("Add", inner, to.floats(torch.tensor(1.0))))


_ACTIVATIONS: Final[Mapping[Activation, Callable[[_Writer, str], str]]] = {
    "none": lambda to, value: value,
    "silu": _silu,
    "gelu": _gelu,
    "relu": lambda to, value: to.add("Relu", value),
    "sigmoid": lambda to, value: to.add("Sigmoid", value),
}
