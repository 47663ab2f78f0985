"""What a found network is compared with, and what a user should know of how that went."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

from models.network import Affine
from spec import SIZES, Graph, Measure, SearchSpec, Target
from spec.method import AdaBreg
from spec.mlp import Mlp
from spec.rivals import RivalName, Widths, rivals
from worker.objective import Objective
from worker.outcome import Candidate, Found
from worker.race import RATES, Arm, Start
from worker.samples import Samples

SCRATCH = "scratch"
CONTROL = "control"
Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def outputs(spec: SearchSpec, objective: Objective, samples: Samples) -> Affine | None:
    """Mean and deviation that a network's outputs are given in: those of the targets, where it can be told.

    Of regression targets by column, of images by channel. Not where the outputs are searched or end in an activation:
    there 0 has a meaning of its own.
    """
    if objective.std is not None:
        return samples.outputs
    its = samples.outputs if objective.paired else samples.inputs
    last = spec.superstructure
    plain = not isinstance(last, Mlp) or (last.output_activation == "none" and not last.group_head)
    return its if objective.squared and plain else None


def measure(spec: SearchSpec) -> Measure:
    """What a comparison is fair in: the target's measure, or parameters."""
    return "macs" if spec.target is not None and spec.target.measure == "macs" else "parameters"


def arms(
    spec: SearchSpec, objective: Objective, shapes: Shapes, found: Found, limit: int
) -> tuple[list[Arm], dict[str, Graph]]:
    """The arms of the race, and the graph of each shape: the rivals with every start and learning rate.

    `shapes` are those of one input and one output, `limit` the size that none may exceed.
    """
    graphs: dict[str, Graph] = {}
    seen: set[Widths] = set()
    named: list[tuple[str, str]] = []
    for name in spec.rivals:
        if name in ("linear", CONTROL):
            continue
        if name == "scratch":
            graphs[SCRATCH] = found.network.graph
            named.append((name, SCRATCH))
            continue
        for rival in rivals(
            cast(RivalName, name), spec.superstructure, *shapes, SIZES[measure(spec)], limit, seed=found.seed
        ):
            if rival.widths in seen:
                continue  # such as `scaled`, where the superstructure is flat
            seen.add(rival.widths)
            graphs[rival.name] = rival.graph
            named.append((name, rival.name))
    starts: list[tuple[Start, float]] = [("dense", factor) for factor in RATES]
    if linear_starts(spec, objective):
        starts += [("linear", factor) for factor in RATES[:2]]  # from there a large step leads away
    return [
        Arm(name, shape, factor * spec.finetune.lr, start)
        for name, shape in named
        for start, factor in starts
        if start != "linear" or not any(graphs[shape].sums())
    ], graphs


def flat(spec: SearchSpec, shapes: Shapes, limit: int) -> Graph | None:
    """Equal widths at the full depth; None where not even one channel a layer fits."""
    found = rivals("flat", spec.superstructure, *shapes, SIZES[measure(spec)], limit, seed=0)
    return found[-1].graph if found else None


def linear_starts(spec: SearchSpec, objective: Objective) -> bool:
    """Whether training may begin near the best linear network: where that has a closed form, for SiLU networks."""
    within = spec.superstructure
    if not isinstance(within, Mlp):
        return False
    plain = within.activation == "silu" and within.bias == "grouped" and not within.group_head
    return objective.squared and plain and within.output_activation == "none"


def notes(
    spec: SearchSpec,
    graph: Graph,
    found: Sequence[Found],
    candidates: Sequence[Candidate],
    losses: Mapping[str, float],
) -> list[str]:
    """What did not go as asked, in words. `losses` are those of the trials, infinite where one diverged."""
    said = []
    if spec.target is not None:
        limit, what = spec.target.limit(graph), spec.target.measure
        for one in found:
            size = spec.target.size(one.network.graph)
            if size < 0.98 * limit:
                below = f"seed {one.seed} found {size:,} {what}, {1 - size / limit:.1%} below the {limit:,} asked for: "
                said.append(below + _why_below(spec, spec.target, graph, one))
    gone = sorted({name for one in found for name, count in one.counts.items() if count == 0})
    depth = isinstance(spec.method, AdaBreg) and spec.method.depth == "searched"
    if gone and not depth:
        said.append(f"without an active channel, or read by nothing that has one, and so removed: {', '.join(gone)}")
    there = {candidate.name for candidate in candidates}
    diverged = {key.split("/")[2] for key, loss in losses.items() if math.isinf(loss)}
    for name in spec.rivals:
        if name in there:
            continue
        if any(trial.startswith(name) for trial in diverged):
            said.append(f"{name} diverged in every training: its loss was not finite")
        else:
            said.append(f"{name} has no network of this size, or only one that another name has")
    return said


def _why_below(spec: SearchSpec, target: Target, graph: Graph, found: Found) -> str:
    scalars = {node.name: 0 for node in graph.sums()} | {node.name: node.scalars for node in found.network.graph.sums()}
    now = found.counts | scalars
    growing = [names for names in graph.index_sets() if now[names[0]] < graph[names[0]].width]
    grown = [now | {name: now[name] + 1 for name in names} for names in growing]
    of_depth = isinstance(spec.method, AdaBreg) and spec.method.depth == "searched"  # ends as wide as there is room for
    if of_depth or all(target.size(graph, more) > target.limit(graph) for more in grown):
        return "a neuron more in any layer would exceed them"
    return "it ended at the noise level" if spec.budget.noise_level is not None else "no neuron that fits had moved"
