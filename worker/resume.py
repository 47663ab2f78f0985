"""Where a search stands: all that the rest of it depends on, kept in a checkpoint and taken up again."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from models.network import Network
from spec import Graph, SearchSpec
from worker import checkpoint
from worker.checkpoint import Tensors, prefixed, under
from worker.failure import SearchFailed
from worker.job import Folder
from worker.outcome import Candidate, Found, Scores
from worker.path import Path
from worker.progress import Stage
from worker.samples import Samples
from worker.training import Training

FORMAT = 2
"""Of checkpoints: one that differs is of another version of this code."""


@dataclass
class Progress:
    """What is done so far.

    `epochs` and `steps` are those of trainings that are done, `compared` the steps of the comparison among them;
    `losses` are of trials.
    """

    path: Path
    found: list[Found] = field(default_factory=list)
    candidates: dict[tuple[str, int], Candidate] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    shapes: dict[str, Graph] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    compared: int = 0
    elapsed: float = 0.0
    planned: int = 0
    reached: tuple[Stage, int] | None = None

    def keep(self, candidate: Candidate) -> None:
        """Keep the best network of a name and seed by validation loss: a long training may end worse than its trial."""
        key = candidate.name, candidate.seed
        known = self.candidates.get(key, candidate)
        best = min(known, candidate, key=lambda one: one.validation.loss)
        self.candidates[key] = replace(best, full=known.full or candidate.full)

    def eta(self, spec: SearchSpec, stage: Stage, training: Training, share: float) -> float:
        """Seconds left, by the pace of this epoch; `share` is the size of what is trained to the superstructure's."""
        left = training.seconds * (self.planned - self.epochs.get(stage, 0) - training.epoch)
        seeds = len(spec.all_seeds)
        small = training.seconds * (share if stage == "search" else 1.0)
        if stage == "search":
            left += 1.3 * small * spec.finetune.epochs * seeds
        if stage != "compare" and spec.rivals:
            left += small * spec.full_epochs * (1 + seeds * (1 + ("control" in spec.rivals)))
        return max(0.0, left)


@dataclass
class Restored:
    """A training that was under way."""

    name: str
    tensors: Tensors
    values: dict[str, Any]

    def into(self, training: Training) -> None:
        """Let `training` go on from there."""
        training.restore(self.tensors, self.values)


def save(
    folder: Folder, spec: SearchSpec, samples: Samples, now: Progress, stage: Stage, epoch: int, training: Training
) -> None:
    """Write a checkpoint in the middle of `training`."""
    tensors, values = training.state()
    tensors = prefixed("training", tensors)
    for found in now.found:
        tensors |= prefixed(f"found/{found.seed}", found.network.state_dict())
    for (name, seed), candidate in now.candidates.items():
        tensors |= prefixed(f"candidate/{name}/{seed}", candidate.network.state_dict())
    path_tensors, path_values = now.path.state()
    tensors |= prefixed("path", path_tensors)
    checkpoint.save(
        folder.checkpoints,
        tensors,
        {
            "format": FORMAT,
            "stage": stage,
            "epoch": epoch,
            "batch": training.batch,
            "name": training.name,
            "training": values,
            "found": [_found_values(found) for found in now.found],
            "candidates": [_candidate_values(candidate) for candidate in now.candidates.values()],
            "path": path_values,
            "losses": {key: loss if math.isfinite(loss) else None for key, loss in now.losses.items()},
            "history": now.history,
            "epochs": now.epochs,
            "steps": now.steps,
            "compared": now.compared,
            "elapsed": now.elapsed,
            "fingerprint": samples.fingerprint,
            "threads": torch.get_num_threads(),
            "spec": spec.model_dump(mode="json"),
        },
    )


def load(folder: Folder, spec: SearchSpec, graph: Graph, samples: Samples, now: Progress) -> Restored | None:
    """Fill `now` from the newest whole checkpoint; None where there is none. Raises SearchFailed."""
    loaded = checkpoint.load(folder.checkpoints)
    if loaded is None:
        return None
    tensors, values = loaded
    if values.get("format") != FORMAT:
        raise SearchFailed(
            "other_version",
            "this search was begun by another version of Bregnas, whose checkpoints this one cannot read; clone it",
        )
    torch.set_num_threads(values["threads"])  # sums round differently with another number
    if values["fingerprint"] != samples.fingerprint:
        raise SearchFailed(
            "data_changed",
            f"the data set {spec.data!r} is not what it was when this search began; start a new search",
        )
    now.history, now.epochs, now.steps = values["history"], values["epochs"], values["steps"]
    now.compared, now.elapsed = values["compared"], values["elapsed"]
    now.losses = {key: math.inf if loss is None else loss for key, loss in values["losses"].items()}
    now.reached = (values["stage"], values["epoch"])
    now.path.restore(under("path", tensors), values["path"])
    for value in values["found"]:
        own = Graph.model_validate_json(value.pop("graph"))
        network = _network(own, samples, under(f"found/{value['seed']}", tensors))
        for name in ("shrunk", "superstructure"):
            value[name] = None if value[name] is None else Scores(**value[name])
        now.found.append(Found(network=network, **value))
    for value in values["candidates"]:
        own = Graph.model_validate_json(value.pop("graph"))
        network = _network(own, samples, under(f"candidate/{value['name']}/{value['seed']}", tensors))
        now.keep(Candidate(network=network, validation=Scores(**value.pop("validation")), **value))
    return Restored(values["name"], under("training", tensors), values["training"])


def _network(graph: Graph, samples: Samples, tensors: Tensors) -> Network:
    network = Network(graph, samples.inputs, samples.outputs)
    network.load_state_dict(tensors)
    return network


def _found_values(found: Found) -> dict[str, Any]:
    return {
        "seed": found.seed,
        "graph": found.network.graph.model_dump_json(),
        "counts": found.counts,
        "shrunk": asdict(found.shrunk),
        "superstructure": None if found.superstructure is None else asdict(found.superstructure),
        "difference": found.difference,
    }


def _candidate_values(candidate: Candidate) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "seed": candidate.seed,
        "graph": candidate.network.graph.model_dump_json(),
        "lr": candidate.lr,
        "steps": candidate.steps,
        "epochs": candidate.epochs,
        "full": candidate.full,
        "validation": asdict(candidate.validation),
    }
