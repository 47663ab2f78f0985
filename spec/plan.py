"""What a search amounts to, by closed form: sizes, memory, and whether it can be run at all."""

from dataclasses import dataclass

from spec.base import SpecError
from spec.data import DataShape
from spec.graph import Graph, macs, parameters
from spec.search import SearchSpec
from spec.task import output_shape

FLOAT = 4  # bytes; the search runs in float32
RUNTIME = 450 * 2**20  # bytes of a trainer with its libraries, the ONNX exporter's included, before any data

# Copies of the parameters at the worst moment, if every neuron is awake. That is the export: both candidates, the ONNX
# model as the exporter, the checker and the file have it, the weights' file, and the zip. The search itself holds seven
# (weights, gradients, dual, two moments, and what a step needs besides). Measured in tests/worker.
_COPIES = 12


@dataclass(frozen=True)
class Plan:
    """A search that can be run: its graph, the superstructure's size, and the memory that training it takes.

    `parameters` and `macs` (of one sample's forward pass) are those of the full superstructure,
    `smallest` the parameters with one group left in every searched layer. `memory_bytes` is an upper estimate.
    """

    graph: Graph
    parameters: int
    macs: int
    smallest: int
    memory_bytes: int


def plan(spec: SearchSpec, data: DataShape, memory_limit: int) -> Plan:
    """Plan `spec` on `data`; raises SpecError where the parts do not fit each other, the data or `memory_limit`."""
    graph = spec.superstructure.graph(data.shape, output_shape(spec.task, data))
    count = parameters(graph)
    memory = _memory(spec, graph, data, count)
    if memory > memory_limit:
        raise SpecError(
            ("superstructure", "widths"),
            f"training {count:,} parameters with batches of {spec.budget.batch_size} takes about "
            f"{memory / 2**30:,.1f} GiB, the limit is {memory_limit / 2**30:,.1f} GiB; "
            "narrow the widths or make budget.batch_size smaller",
        )
    return Plan(
        graph=graph,
        parameters=count,
        macs=macs(graph),
        smallest=parameters(graph, {node.name: 1 for node in graph.searched()}),
        memory_bytes=memory,
    )


def _memory(spec: SearchSpec, graph: Graph, data: DataShape, count: int) -> int:
    weights = FLOAT * count * _COPIES
    entries = sum(node.width for node in graph.nodes)
    activations = 3 * FLOAT * entries * spec.budget.batch_size  # before and after σ, and the gradient
    return RUNTIME + weights + activations + data.bytes
