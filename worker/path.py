"""The architectures that a search meets on its way: the best of each size, a size being half as large again."""

import json
import math
from collections.abc import Callable
from pathlib import Path as File
from typing import Any

from safetensors import safe_open
from safetensors.torch import save

from models.network import Network
from spec import Graph
from worker.checkpoint import Tensors, prefixed, under
from worker.outcome import Scores, Snapshot
from worker.samples import Samples

STEP = 1.5


class Path:
    """Collects snapshots of a superstructure while it is searched."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self._best: dict[int, Snapshot] = {}

    def meet(
        self, size: int, shrunk: Callable[[], Network], counts: dict[str, int], epoch: int, scores: Scores
    ) -> None:
        """Keep the network of so many parameters as it is now, if none of its size was as good."""
        level = math.floor(math.log(size) / math.log(STEP))
        if level not in self._best or scores.loss < self._best[level].validation.loss:
            self._best[level] = Snapshot(epoch, dict(counts), shrunk(), scores)

    def snapshots(self) -> list[Snapshot]:
        """By size, the smallest first."""
        return [self._best[size] for size in sorted(self._best)]

    def state(self) -> tuple[Tensors, list[dict[str, Any]]]:
        """All of it, for a checkpoint."""
        tensors: Tensors = {}
        for size, snapshot in self._best.items():
            tensors |= prefixed(str(size), snapshot.network.state_dict())
        return tensors, [
            {
                "size": size,
                "epoch": s.epoch,
                "counts": s.counts,
                "graph": s.network.graph.model_dump_json(),
                "loss": s.validation.loss,
                "metric": s.validation.metric,
                "more": s.validation.more,
            }
            for size, s in self._best.items()
        ]

    def restore(self, tensors: Tensors, values: list[dict[str, Any]]) -> None:
        """Go on from what `state` gave."""
        for value in values:
            network = _network(value["graph"], self.samples, under(str(value["size"]), tensors))
            scores = Scores(value["loss"], value["metric"], value.get("more", {}))
            self._best[value["size"]] = Snapshot(value["epoch"], value["counts"], network, scores)


def to_bytes(snapshot: Snapshot) -> bytes:
    """A snapshot as a file, from which a search can begin."""
    return save(snapshot.network.state_dict(), _told(snapshot))


def read(file: File, samples: Samples) -> tuple[Network, dict[str, int]]:
    """The network that `to_bytes` wrote, and the widths that were found."""
    with safe_open(file, framework="pt") as opened:
        told = json.loads(opened.metadata()["architecture"])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
    counts: dict[str, int] = told["widths"]
    return _network(told["graph"], samples, tensors), counts


def _told(snapshot: Snapshot) -> dict[str, str]:
    """One entry: safetensors writes several in an order of chance, and a file is to be the same bytes every time."""
    told = {"widths": snapshot.counts, "graph": snapshot.network.graph.model_dump_json()}
    return {"architecture": json.dumps(told)}


def _network(graph: str, samples: Samples, tensors: Tensors) -> Network:
    network = Network(Graph.model_validate_json(graph), samples.inputs, samples.outputs)
    network.load_state_dict(tensors)
    return network
