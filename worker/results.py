"""The result of a search as a document: who won, by how much, and all candidates with their evidence."""

import statistics
from typing import Any

from models.groups import connections
from models.network import Network
from spec import Graph, SearchSpec, macs, parameters
from spec.mlp import Mlp
from worker.outcome import Candidate, Contender, Outcome, Scores, is_tie


def result(spec: SearchSpec, outcome: Outcome, metric: str) -> dict[str, Any]:
    """All that is known at the end but what a clock measures."""
    found = outcome.found
    size = {"parameters": parameters(found.network.graph), "macs": macs(found.network.graph)}

    def scores(of: Scores | None) -> dict[str, float] | None:
        return None if of is None else {"loss": of.loss, metric: of.metric, **of.more}

    return {
        "winner": outcome.winner.name,
        **_margin(outcome),
        "widths": found.counts,
        "skips": _skips(spec, found.network),
        "target": _target(spec, outcome),
        "difference": found.difference,
        "superstructure": {
            "parameters": parameters(outcome.full),
            "macs": macs(outcome.full),
            "validation": scores(found.superstructure),
        },
        "shrunk": {**size, "validation": scores(found.shrunk)},
        "unchanged": None if outcome.unchanged is None else {"validation": scores(outcome.unchanged)},
        "candidates": [_row(contender, metric) for contender in outcome.contenders],
        "path": [
            {
                "k": k,
                "epoch": snapshot.epoch,
                "widths": list(snapshot.counts.values()),
                "parameters": parameters(snapshot.network.graph),
                "macs": macs(snapshot.network.graph),
                "validation": scores(snapshot.validation),
            }
            for k, snapshot in enumerate(outcome.path)
        ],
        "dense_epochs": sum(epoch["share"] or 0.0 for epoch in outcome.history if epoch["stage"] == "search"),
        "comparison_epochs": outcome.comparison_epochs,
        "notes": outcome.notes,
    }


def widths(graph: Graph) -> dict[str, int]:
    """The widths of a network's hidden layers (and of its head, where that is searched)."""
    layers = list(graph.layers())
    return {node.name: node.width for node in layers if node.searched or node is not layers[-1]}


def _skips(spec: SearchSpec, network: Network) -> list[dict[str, Any]] | None:
    """The connections past layers that the search found; None where it looked for none."""
    if not isinstance(spec.superstructure, Mlp) or spec.superstructure.skips == "none":
        return None
    return [{"from": first, "to": last, "value": value} for first, last, value in connections(network)]


def _margin(outcome: Outcome) -> dict[str, Any]:
    """How far the second is behind: its validation loss is so much higher, as a share."""
    if len(outcome.contenders) < 2:
        return {"second": None, "margin": None, "tie": None}
    first, second = outcome.contenders[:2]
    margin = second.loss / first.loss - 1 if first.loss > 0 else None
    return {"second": second.name, "margin": margin, "tie": is_tie(first, second)}


def _target(spec: SearchSpec, outcome: Outcome) -> dict[str, Any] | None:
    if spec.target is None:
        return None
    limit, reached = spec.target.limit(outcome.full), spec.target.size(outcome.found.network.graph)
    return {"measure": spec.target.measure, "limit": limit, "reached": reached, "share": reached / limit}


def _row(contender: Contender, metric: str) -> dict[str, Any]:
    best = contender.best
    return {
        "name": contender.name,
        "widths": list(widths(best.network.graph).values()),
        "parameters": parameters(best.network.graph),
        "macs": macs(best.network.graph),
        "lr": best.lr,
        "epochs": best.epochs,
        "trained_in_full": best.full,
        "validation": _mean([c.validation for c in contender.candidates], metric),
        "test": _mean([c.test for c in contender.candidates], metric),
        "spread": contender.spread,
        "seeds": [_seed(candidate, metric) for candidate in contender.candidates],
    }


def _seed(candidate: Candidate, metric: str) -> dict[str, Any]:
    graph = candidate.network.graph
    return {
        "seed": candidate.seed,
        "widths": list(widths(graph).values()),
        "parameters": parameters(graph),
        "validation": _mean([candidate.validation], metric),
        "test": _mean([candidate.test], metric),
    }


def _mean(scores: list[Scores | None], metric: str) -> dict[str, float] | None:
    known = [score for score in scores if score is not None]
    if not known:
        return None
    return {
        "loss": statistics.fmean(score.loss for score in known),
        metric: statistics.fmean(score.metric for score in known),
        **{name: statistics.fmean(score.more[name] for score in known) for name in known[0].more},
    }
