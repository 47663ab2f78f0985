"""The bundle's README: what was found, how to run it, how good it is beside its rivals, and where it ends."""

from typing import Any

from spec.graph import Graph
from worker.job import Job

_PIPELINE = {
    "autoencode": "image-to-image",
    "denoise": "image-to-image",
    "deblur": "image-to-image",
    "classify": "image-classification",
    "regress": "tabular-regression",
}


def card(job: Job, graph: Graph, result: dict[str, Any], data: dict[str, Any], metric: str) -> str:
    """Markdown, with the Hub's metadata in front."""
    spec, winner = job.spec, next(c for c in result["candidates"] if c["name"] == result["winner"])
    shape = ", ".join(map(str, graph.input_shape))
    full = result["superstructure"]
    rows = [_row("the input, unchanged", result["unchanged"], metric)] if result["unchanged"] else []
    rows += [
        _row(f"superstructure after the search ({full['parameters']:,} parameters)", full, metric),
        _row("the same, shrunk", result["shrunk"], metric),
    ]
    rows += [
        _row(_LABEL[c["name"]] + (" **(delivered)**" if c is winner else ""), c, metric) for c in result["candidates"]
    ]
    kept = winner["parameters"] / full["parameters"]
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
            f"# {spec.task.kind}, {spec.superstructure.kind}, {winner['parameters']:,} parameters",
            "",
            "![neurons a layer](architecture.svg)",
            "",
            f"Found by a Bregman search over a superstructure of {full['parameters']:,} parameters; {kept:.1%} of them "
            f"are left. Widths found: {', '.join(f'{name} {width}' for name, width in result['widths'].items())}.",
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
            + _INPUTS[data["kind"]],
            "",
            "## How good it is",
            "",
            f"| network | parameters | MACs | validation loss | {metric} | test loss | {metric} |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"Shrinking changed no output by more than {result['difference']:.1e}. The validation split chose the "
            "network; the test split was looked at once, afterwards. The networks in this table are one seed each.",
            "",
            "## Data",
            "",
            f"Samples of shape ({shape}), {', '.join(f'{n:,} {split}' for split, n in data['samples'].items())}; "
            f"fingerprint `{data['fingerprint'][:16]}`.",
            "",
            "## What it cost",
            "",
            f"{spec.budget.epochs} epochs of search, {spec.finetune.epochs} of training on, {spec.scratch_epochs} of "
            f"training the found widths from scratch, in batches of {spec.budget.batch_size}.",
            "",
            "## Limits",
            "",
            "It has seen one data set. On inputs of another kind, range or noise it is untested; a size that suits "
            "this task says nothing about another. Networks that nobody searched for were not trained beside it.",
            "",
        ]
    )


_LABEL = {"found": "found, trained on", "scratch": "found widths, trained from scratch"}
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
