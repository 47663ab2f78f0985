"""The bundle's README: what was found, how to run it, how good it is beside its rivals, and where it ends."""

from typing import Any

from spec import SearchSpec
from spec.method import AdaBreg, LinBreg
from worker.job import Job
from worker.outcome import Contender

_PIPELINE = {
    "autoencode": "image-to-image",
    "denoise": "image-to-image",
    "deblur": "image-to-image",
    "super_resolve": "image-to-image",
    "translate": "image-to-image",
    "segment": "image-segmentation",
    "classify": "image-classification",
    "regress": "tabular-regression",
}


def card(job: Job, contender: Contender, result: dict[str, Any], data: dict[str, Any], metric: str) -> str:
    """Markdown, with the Hub's metadata in front, for the network of one contender."""
    spec, graph = job.spec, contender.best.network.graph
    delivered = next(c for c in result["candidates"] if c["name"] == contender.name)
    shape = ", ".join(map(str, graph.input_shape))
    full = result["superstructure"]
    rows = [_row("the input, unchanged", result["unchanged"], metric)] if result["unchanged"] else []
    if full["validation"]:
        rows += [
            _row(f"superstructure after the search ({full['parameters']:,} parameters)", full, metric),
            _row("the same, shrunk", result["shrunk"], metric),
        ]
    else:
        rows.append(_row("the found network, not trained on yet", result["shrunk"], metric))
    rows += [_row(_label(c) + (" **(this one)**" if c is delivered else ""), c, metric) for c in result["candidates"]]
    kept = delivered["parameters"] / full["parameters"]
    return "\n".join(
        [
            "---",
            "library_name: pytorch",
            f"pipeline_tag: {_PIPELINE[spec.task.kind]}",
            "license: other",
            "license_name: of-whoever-ran-the-search",
            f"tags: [bregnas, neural-architecture-search, {spec.task.kind}, {spec.superstructure.kind}]",
            "---",
            "",
            f"# {spec.task.kind}, {spec.superstructure.kind}, {delivered['parameters']:,} parameters",
            "",
            "![neurons a layer](architecture.svg)",
            "",
            f"{LABELS[contender.name][0].upper()}{LABELS[contender.name][1:]}: {kept:.1%} of the parameters of a "
            f"superstructure of {full['parameters']:,}, {_origin(spec, result)}.",
            "",
            "## Run it",
            "",
            "PyTorch (needs torch and safetensors alone):",
            "",
            "```python",
            "import torch",
            "from model import load",
            "network = load()",
            f"print(network(torch.zeros(1, {shape})).shape)",
            "```",
            "",
            "ONNX Runtime:",
            "",
            "```python",
            "import numpy, onnxruntime",
            'session = onnxruntime.InferenceSession("model.onnx")',
            f'print(session.run(None, {{"input": numpy.zeros((1, {shape}), "float32")}})[0].shape)',
            "```",
            "",
            "`python model.py` replays `samples.safetensors` and prints the largest difference. "
            + _INPUTS[data["kind"]]
            + (" Images of any height and width will do, a batch of one size at a time." * graph.takes_any_size),
            "",
            "## How good it is",
            "",
            f"| network | parameters | MACs | validation loss | {metric} | test loss | {metric} |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            _verdict(result, len(spec.all_seeds)),
            "",
            (f"Shrinking changed no output by more than {result['difference']:.1e}. " if full["validation"] else "")
            + "The validation split chose the network; the test split was looked at once, afterwards.",
            *(f"\n{note[0].upper()}{note[1:]}." for note in result["notes"]),
            "",
            "## Data",
            "",
            f"Samples of shape ({shape}), {', '.join(f'{n:,} {split}' for split, n in data['samples'].items())}; "
            f"fingerprint `{data['fingerprint'][:16]}`.",
            "",
            "## What it cost",
            "",
            f"Per seed {spec.search_epochs} epochs of search, in which as much of the superstructure was in use as in "
            f"{result['dense_epochs'] / len(spec.all_seeds):.3g} epochs of all of it, and {spec.finetune.epochs} of "
            f"training on, in batches of {spec.budget.batch_size}; the comparison took "
            f"{_comparison(result, spec.full_epochs)}.",
            "",
            "## Limits",
            "",
            "It has seen one data set. On inputs of another kind, range or noise it is untested; a size that suits "
            "this task says nothing about another. What it was compared with had its learning rate settled by short "
            "trainings too (of convolutions on one shape for all; a control has the found network's): with other "
            "settings another may win.",
            "",
        ]
    )


LABELS = {
    "found": "the found network, trained on",
    "scratch": "the found widths, trained from scratch",
    "flat": "equal widths",
    "scaled": "the superstructure's widths, scaled",
    "geometric": "geometric widths",
    "ratio": "widths by one ratio from level to level, the best of several",
    "random": "random widths, the best of several",
    "control": "equal widths, trained as the search trains",
    "linear": "the best linear network, in closed form",
}
"""What each candidate is, for people."""


def _origin(spec: SearchSpec, result: dict[str, Any]) -> str:
    """What found which widths."""
    widths = ", ".join(f"{name} {width}" for name, width in result["widths"].items())
    if result["skips"] is not None:
        skips = ", ".join(f"{skip['from']} → {skip['to']} ({skip['value']:.3g})" for skip in result["skips"])
        widths += f" and the skips {skips}" if skips else " and no skips"
    how = spec.method
    if spec.start is not None:
        return f"in which the search {spec.start.search} met the widths {widths} on its way"
    seed = f" with seed {spec.all_seeds[0]}" if len(spec.all_seeds) > 1 else ""
    if isinstance(how, AdaBreg) and how.depth == "searched":
        return f"whose depth was searched; the nonlinear neurons left in its layers are{seed}: {widths}"
    kind = "a Bregman search" if isinstance(how, AdaBreg | LinBreg) else "a search that is no Bregman iteration"
    return f"over which {kind} ({how.optimizer}) found the widths {widths}{seed}"


def _label(candidate: dict[str, Any]) -> str:
    widths = "–".join(map(str, candidate["widths"])) or "one layer"
    left = "" if candidate["trained_in_full"] else f", {candidate['epochs']:.2g} epochs in the race"
    return f"{LABELS[candidate['name']]} ({widths}{left})"


def _verdict(result: dict[str, Any], seeds: int) -> str:
    won, second, margin = LABELS[result["winner"]], result["second"], result["margin"]
    if second is None:
        return "It was compared with nothing else."
    behind = f"{LABELS[second]} is {margin:.1%} behind" if margin is not None else f"{LABELS[second]} came second"
    spread = {
        None: "One seed: how far chance alone would take them is not known.",
        True: f"Over {seeds} seeds that is a tie.",
        False: f"Over {seeds} seeds that is more than their spread.",
    }[result["tie"]]
    return f"By validation loss {won} won; {behind}. {spread}"


def _comparison(result: dict[str, Any], full_epochs: int) -> str:
    cost = result["comparison_epochs"]
    trainings = f" ({cost / full_epochs:.2f} whole trainings)" if full_epochs else ""
    return f"{cost:.3g} epochs{trainings}" if cost else "nothing"


_INPUTS = {
    "image": "Pixels are float32 in [0, 1]; the normalisation is inside the network.",
    "table": "Columns are float32 in their own units; the normalisation is inside the network.",
}


def _row(label: str, scores: dict[str, Any], metric: str) -> str:
    def show(split: str, key: str) -> str:
        return f"{scores[split][key]:.4g}" if scores.get(split) else "–"

    size = (f"{scores['parameters']:,}", f"{scores['macs']:,}") if "parameters" in scores else ("0", "0")
    cells = (label, *size, show("validation", "loss"), show("validation", metric), show("test", "loss"))
    return "| " + " | ".join((*cells, show("test", metric))) + " |"
