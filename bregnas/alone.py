"""Run a bundle in PyTorch and in ONNX Runtime where Bregnas cannot be imported; run from the bundle's folder.

With two names of files it runs the bundle's `model.py` on an image besides, from the first into the second.

This file is a script that imports nothing of this project, and sees to it that nothing else can either.
"""

import contextlib
import importlib.abc
import json
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

OURS = ("app", "bregnas", "datasets", "linbreg", "models", "spec", "store", "worker")


class Refuse(importlib.abc.MetaPathFinder):
    """Makes every package of this project impossible to import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise for our names, and leave all others to the finders after this one."""
        if fullname.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"{fullname} is not to be had here")
        return None


def main() -> None:
    """Print as JSON how far both runtimes are from the recorded outputs, and one example."""
    sys.meta_path.insert(0, Refuse())
    sys.path.insert(0, ".")
    import onnxruntime
    import torch
    from model import load, run  # type: ignore[import-not-found]  # the bundle's own file
    from safetensors.torch import load_file

    samples = load_file("samples.safetensors")
    given, recorded, truth = samples["input"], samples["output"], samples["truth"]
    with torch.no_grad():
        by_torch = load()(given)
    (by_onnx,) = onnxruntime.InferenceSession("model.onnx").run(None, {"input": given.numpy()})
    psnr = [float(-10 * (x - truth).square().flatten(1).mean(1).log10().mean()) for x in (given, by_torch)]
    report = {
        "pytorch": float((by_torch - recorded).abs().max()),
        "onnx": float((torch.from_numpy(by_onnx) - recorded).abs().max()),
        "psnr_in": psnr[0],
        "psnr_out": psnr[1],
        "example": {
            name: tensor[0, 0].tolist() for name, tensor in (("input", given), ("output", by_torch), ("truth", truth))
        },
    }
    if len(sys.argv) > 1:
        with contextlib.redirect_stdout(sys.stderr):
            run(".", *sys.argv[1:])
    print(json.dumps(report))  # noqa: T201 - its output is what it is for


if __name__ == "__main__":
    main()
