"""The architectures that a search meets on its way: the best of each size, a size being half as large again."""

import json
import math
from pathlib import Path as File
from typing import Any

from safetensors import safe_open
from safetensors.torch import save

from models.network import Network
from models.shrink import shrink, with_widths
from spec import Graph, parameters
from worker.checkpoint import Tensors, prefixed, under
from worker.outcome import Scores, Snapshot
from worker.samples import Samples

STEP = 1.5


class Path:
    """Collects snapshots of a superstructure while it is searched."""

    def __init__(self, graph: Graph, samples: Samples) -> None:
        self.graph, self.samples = graph, samples
        self._best: dict[int, Snapshot] = {}

    def meet(self, network: Network, counts: dict[str, int], epoch: int, scores: Scores) -> None:
        """Keep the network as it is now, if none of its size was as good."""
        size = math.floor(math.log(parameters(self.graph, counts)) / math.log(STEP))
        if size not in self._best or scores.loss < self._best[size].validation.loss:
            self._best[size] = Snapshot(epoch, dict(counts), shrink(network), scores)

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
                "loss": s.validation.loss,
                "metric": s.validation.metric,
            }
            for size, s in self._best.items()
        ]

    def restore(self, tensors: Tensors, values: list[dict[str, Any]]) -> None:
        """Go on from what `state` gave."""
        for value in values:
            network = small(self.graph, value["counts"], self.samples)
            network.load_state_dict(under(str(value["size"]), tensors))
            scores = Scores(value["loss"], value["metric"])
            self._best[value["size"]] = Snapshot(value["epoch"], value["counts"], network, scores)


def small(graph: Graph, counts: dict[str, int], samples: Samples) -> Network:
    """A network with these widths, for weights to be loaded into."""
    return Network(with_widths(graph, counts), samples.inputs, samples.outputs)


def to_bytes(snapshot: Snapshot) -> bytes:
    """A snapshot as a file, from which a search can begin."""
    return save(snapshot.network.state_dict(), {"widths": json.dumps(snapshot.counts)})


def read(file: File, graph: Graph, samples: Samples) -> tuple[Network, dict[str, int]]:
    """The network that `to_bytes` wrote, and its widths."""
    with safe_open(file, framework="pt") as opened:
        counts: dict[str, int] = json.loads(opened.metadata()["widths"])
        network = small(graph, counts, samples)
        network.load_state_dict({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118 - not a dict
    return network, counts
