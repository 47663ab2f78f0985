"""What a search amounts to, by closed form: sizes, memory, and whether it can be run at all."""

import math
from dataclasses import dataclass
from typing import cast

from spec.base import SpecError
from spec.data import DataShape
from spec.graph import Graph, macs, parameters
from spec.images import TILE_PIXELS, Crops, crops
from spec.method import SGD, AdaBreg, Adam, LinBreg, ProxAdam, ProxSGD
from spec.mlp import Mlp
from spec.rivals import RivalName, rivals
from spec.search import SearchSpec
from spec.target import SIZES, Measure, possible
from spec.task import is_squared, output_shape

FLOAT = 4  # bytes; bfloat16 holds half as much for samples, which is not counted on
RUNTIME = 450 * 2**20  # bytes of a trainer with its libraries, the ONNX exporter's included, before any data

# Copies of the superstructure's parameters while it is searched: weights, gradients, dual, two moments, and what a step
# and a checkpoint need besides.
_SEARCH_COPIES = 8
_CYCLE_COPIES = 11  # with swaps of convolutions, whose sleepers make their missed steps apart
# Copies of the found network's parameters: the export of one (the ONNX model as the exporter, the checker and the file
# have it, the weights' file, the zip), and per network that is kept to the end. Measured in tests/worker.
_EXPORT_COPIES = 17
_PATH_COPIES = 3  # the sizes met on the way rise by half each time
_NARROWER = {
    "mlp": ("widths", "narrow the widths"),
    "unet": ("base", "take a smaller base, smaller crops (budget.crop)"),
    "convnet": ("channels", "narrow the channels"),
}


@dataclass(frozen=True)
class Plan:
    """A search that can be run: its graph, the superstructure's size, and the memory that training it takes.

    `parameters` and `macs` (of one sample's forward pass) are those of the full superstructure, `possible` the least
    and the largest size by every measure. `memory_bytes` is an upper estimate. `crops` are what a step trains on, None
    for whole samples. `rivals` are the networks of convolutions that a target is compared at: they can take more
    arithmetic than the superstructure, whose parameters lie on its coarse levels.
    """

    graph: Graph
    parameters: int
    macs: int
    possible: dict[Measure, tuple[int, int]]
    memory_bytes: int
    crops: Crops | None = None
    rivals: tuple[Graph, ...] = ()


def plan(spec: SearchSpec, data: DataShape, memory_limit: int) -> Plan:
    """Plan `spec` on `data`; raises SpecError where the parts do not fit each other, the data or `memory_limit`."""
    graph = spec.superstructure.graph(data.shape, output_shape(spec.task, data))
    squares = crops(spec.budget, spec.task, graph, data)
    count = parameters(graph)
    sizes = possible(graph)
    _check_target(spec, graph, sizes)
    _check_comparison(spec)
    _check_method(spec)
    compared = _rivals(spec, graph)
    memory = _memory(spec, graph, data, squares, compared)
    if memory > memory_limit:
        field, advice = _NARROWER[spec.superstructure.kind]
        raise SpecError(
            ("superstructure", field),
            f"training {count:,} parameters with batches of {spec.budget.batch_size} takes about "
            f"{memory / 2**30:,.1f} GiB, the limit is {memory_limit / 2**30:,.1f} GiB; "
            f"{advice} or make budget.batch_size smaller",
        )
    return Plan(
        graph=graph,
        parameters=count,
        macs=macs(graph),
        possible=sizes,
        memory_bytes=memory,
        crops=squares,
        rivals=compared,
    )


def _check_target(spec: SearchSpec, graph: Graph, sizes: dict[Measure, tuple[int, int]]) -> None:
    target = spec.target
    if target is None:
        return
    if spec.start is not None:
        raise SpecError(("target",), "a search that begins on a path has the size of its start; leave out the target")
    if spec.method.lam is not None:
        raise SpecError(("method", "lam"), "a target decides λ by itself; leave out method.lam, or the target")
    if not isinstance(spec.method, AdaBreg | LinBreg):
        raise SpecError(
            ("method", "optimizer"),
            f"a target needs adabreg or linbreg: {spec.method.optimizer} has no dual that says which neurons come "
            "next; choose one of them, or give method.lam and no target",
        )
    least, most = sizes[target.measure]
    limit = target.limit(graph)
    if not least <= limit <= most:
        what, first, last = str(target.measure), f"{least:,}", f"{most:,}"
        if target.fraction is not None:
            what, first, last = "of its parameters", f"{_up(least / most):.4g}", "1"
        raise SpecError(
            ("target", target.field),
            f"this superstructure has networks from {first} to {last} {what}; "
            f"{target.fraction if target.fraction is not None else format(limit, ',')} is not among them",
        )


def _up(share: float) -> float:
    """A share that is no smaller, with four digits."""
    text = f"{share:.3e}"
    return float(text) if float(text) >= share else float(text) + 10.0 ** (int(text[-3:]) - 3)


def _check_comparison(spec: SearchSpec) -> None:
    kind, offered = spec.superstructure.kind, spec.offered_rivals
    for name in spec.compare or ():
        if name not in offered:
            why = f"is not defined for {'an' if kind == 'mlp' else 'a'} {kind}"
            if name == "linear" and kind == "mlp":
                why = f"is a closed form of squared losses, and {spec.task.kind} has none"
            elif name == "control" and kind != "mlp":
                why = (
                    "repeats a search by swaps or admission for a target without its selection, and there is none here"
                )
            raise SpecError(("compare",), f"{name} {why}; leave it out. Here are offered: {', '.join(offered)}")
    if spec.seeds is not None and spec.seed not in (0, spec.seeds[0]):
        raise SpecError(("seeds",), "give either seed or seeds")


def _check_method(spec: SearchSpec) -> None:
    how = spec.method
    if spec.budget.noise_level is not None and not is_squared(spec.task):
        what = f"the noise level is of a squared loss, and {spec.task.kind} has none"
        raise SpecError(("budget", "noise_level"), what)
    if isinstance(how, Adam | SGD) and how.lam:
        raise SpecError(("method", "lam"), f"{how.optimizer} has no regulariser; leave out method.lam, or take lasso")
    if isinstance(how, AdaBreg | LinBreg | ProxAdam | ProxSGD) and how.groups == "kernels":
        _check_kernels(spec)
    of_depth = isinstance(how, AdaBreg) and how.depth == "searched"
    if of_depth:
        _check_depth(spec)
    if isinstance(how, AdaBreg | LinBreg) and how.selection is not None and (spec.target is None or of_depth):
        raise SpecError(
            ("method", "selection"),
            "is how a target for widths is reached; give a target and depth fixed, or leave it out",
        )
    if how.density is not None and spec.target is not None and spec.selection == "swaps":
        raise SpecError(
            ("method", "density"),
            "swaps begin with equal widths at the target; leave it out, or take method.selection quantile or admission",
        )
    skips = spec.superstructure.skips if isinstance(spec.superstructure, Mlp) else "none"
    if skips == "searched" and not isinstance(how, AdaBreg | LinBreg):
        raise SpecError(
            ("method", "optimizer"),
            f"skips are searched by adabreg or linbreg, not by {how.optimizer}; choose one of them, or skips none",
        )
    if isinstance(how, AdaBreg | LinBreg) and how.skip_lam is not None and skips == "none":
        raise SpecError(
            ("method", "skip_lam"), "there are no skips; leave it out, or ask an mlp for superstructure.skips searched"
        )
    schedule = how.lam_schedule if isinstance(how, ProxAdam | ProxSGD) else None
    if schedule is not None and schedule.shape == "geometric" and not (how.start_lam and schedule.end):
        raise SpecError(
            ("method", "lam_schedule"), "a geometric schedule goes from one λ above 0 to another; take linear or cosine"
        )


def _check_kernels(spec: SearchSpec) -> None:
    where = ("method", "groups")
    if isinstance(spec.superstructure, Mlp):
        raise SpecError(where, "an mlp has no kernels; take filters, or a convnet or unet")
    if spec.target is not None:
        raise SpecError(
            where,
            "single kernels remove hardly a channel, so no size can be asked of them; take filters, or leave out "
            "the target and give method.lam",
        )


def _check_depth(spec: SearchSpec) -> None:
    within, where = spec.superstructure, ("method", "depth")
    if not isinstance(within, Mlp):
        raise SpecError(where, f"a depth is searched for an mlp, not for a {within.kind}; take fixed")
    if spec.start is not None:
        raise SpecError(where, "a search that begins on a path has the depth of its start; take fixed")
    if spec.target is None or spec.target.measure == "neurons":
        raise SpecError(where, "a depth is searched at a size: give a target in parameters, macs or as a fraction")
    if spec.budget.precision != "float32":
        raise SpecError(("budget", "precision"), "a depth is searched in float32; leave it out, or take depth fixed")
    if within.skips == "searched":
        raise SpecError(where, "either the depth is searched or skips are: take depth fixed, or skips none")
    if within.activation != "silu" or within.bias != "grouped" or within.group_head:
        raise SpecError(
            where, "a depth is searched between linear and silu: take activation silu, bias grouped and no group_head"
        )


def _rivals(spec: SearchSpec, graph: Graph) -> tuple[Graph, ...]:
    target = spec.target
    if target is None or target.measure == "neurons" or not spec.convolutional:
        return ()
    names = dict.fromkeys("flat" if name == "control" else name for name in spec.rivals if name != "scratch")
    shapes, size = (graph.input_shape, graph.output_shape), SIZES[target.measure]
    return tuple(
        rival.graph
        for name in names
        for rival in rivals(
            cast(RivalName, name), spec.superstructure, *shapes, size, target.limit(graph), seed=spec.all_seeds[0]
        )
    )


def _memory(spec: SearchSpec, graph: Graph, data: DataShape, squares: Crops | None, compared: tuple[Graph, ...]) -> int:
    """The larger of two moments: the search, and the end, when all that was trained is exported."""
    found = count = parameters(graph)
    if spec.target is not None and spec.target.measure == "parameters":
        found = min(count, spec.target.limit(graph))
    found = max([found, *map(parameters, compared)])
    kept = len(spec.rivals) + 2 * len(spec.all_seeds)
    swapped = spec.convolutional and spec.target is not None and spec.selection == "swaps"
    searching = (_CYCLE_COPIES if swapped else _SEARCH_COPIES) * count + _PATH_COPIES * found
    widest = max(node.width for node in graph.nodes)
    closed_form = 7 * 8 * widest**2 if "linear" in spec.rivals and widest <= 4096 else 0
    ending = (_EXPORT_COPIES + _PATH_COPIES + kept) * found
    activations = max(_activations(each, spec.budget.batch_size, squares) for each in (graph, *compared))
    return RUNTIME + max(FLOAT * searching, FLOAT * ending, closed_form) + activations + data.bytes


def _activations(graph: Graph, batch_size: int, squares: Crops | None) -> int:
    seen = graph if squares is None else graph.at(squares.side, squares.side)
    trained = 3 * FLOAT * _entries(seen) * batch_size  # before and after σ, and the gradient
    if not graph.takes_any_size:
        return trained
    tiles = TILE_PIXELS / math.prod(graph.input_shape[1:])  # whole images are run in tiles
    return max(trained, round(2 * FLOAT * _entries(graph) * tiles))


def _entries(graph: Graph) -> int:
    """Numbers that the nodes of a network hold for one sample, at every pixel."""
    sizes = graph.sizes()
    return sum(node.width * math.prod(sizes[node.name]) for node in graph.nodes)
