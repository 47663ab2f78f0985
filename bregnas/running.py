"""How is a bundle run on images of one's own? Through ONNX Runtime, which only computes, or through its own `model.py`.

`model.py` is a program that came with the bundle, so it runs only where its user says so. Both see an image as
`model.py` itself would read it, and large ones in tiles that overlap, which give what the whole would have given.
"""

import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from bregnas.bundle import Bundle, module
from bregnas.errors import BregnasError, BundleInvalid
from spec import Graph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

Runtime = Literal["ONNX Runtime", "PyTorch"]

_TILE = 512  # pixels a side of what is run at once, where it may be cut
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm", ".webp"})
_TOLERANCE = 1e-4


class CannotRun(BregnasError):
    """What is needed to run a network is not here; the message says how to get it."""


def runtime(trust: bool = False) -> Runtime:
    """What can run a network here: ONNX Runtime, else PyTorch where the bundle is trusted. Raises CannotRun."""
    if not _is_here("numpy", "PIL", "safetensors"):
        raise CannotRun("running a network needs numpy, pillow and safetensors: pip install 'bregnas[run]'")
    if _is_here("onnxruntime"):
        return "ONNX Runtime"
    if not _is_here("torch"):
        raise CannotRun("running a network needs ONNX Runtime (or PyTorch): pip install 'bregnas[run]'")
    if not trust:
        raise CannotRun(
            "ONNX Runtime is not here, and with PyTorch the bundle's own model.py would run on this machine: say "
            "--trust where you trust whoever made it, or: pip install onnxruntime"
        )
    return "PyTorch"


@dataclass(frozen=True)
class Replay:
    """How far a network's answers to the recorded samples lie from the recorded ones."""

    runtime: Runtime
    difference: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether they are the same but for rounding; a NaN never is."""
        return self.difference <= self.allowed


def replay(bundle: Bundle, with_: Runtime) -> Replay:
    """Run a bundle's network on its samples. Raises BundleInvalid."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        samples = load(bundle.read("samples.safetensors"))
        given, recorded = samples["input"], samples["output"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise BundleInvalid(f"samples.safetensors of {bundle.path} cannot be read: {error}") from error
    with network(bundle, with_) as found:
        made = found.forward(given)
    if made.shape != recorded.shape:
        raise BundleInvalid(f"the network gives the shape {made.shape}, and {recorded.shape} was recorded")
    return Replay(with_, float(np.abs(made - recorded).max()), _TOLERANCE * max(1.0, float(np.abs(recorded).max())))


class RunnableNetwork:
    """A bundle's network, ready to be run; used as a context manager."""

    def __init__(self, bundle: Bundle, with_: Runtime) -> None:
        try:
            self.graph = Graph.model_validate_json(json.dumps(bundle.document("architecture.json")["graph"]))
            self.task = str(bundle.document("spec.json")["task"]["kind"])
        except (ValidationError, KeyError, TypeError) as error:
            raise BundleInvalid(f"{bundle.path} does not say what its network is: {type(error).__name__}") from error
        self._bundle, self._with = bundle, with_
        self._stack = ExitStack()
        self.forward: Callable[[Array], Array]

    def __enter__(self) -> "RunnableNetwork":
        self.forward = self._by_onnx() if self._with == "ONNX Runtime" else self._by_torch()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def image(self, source: Path, target: Path) -> dict[str, Any]:
        """Run it on an image file; what it gives is written to `target`, or told where it names a class.

        Raises ValueError where it does not take such an image, and OSError.
        """
        import numpy as np
        from PIL import Image

        given = self._read(source)
        if self.task == "classify":
            scores = self.forward(given)[0].astype(np.float64)
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            return {"class": int(shares.argmax()), "probability": float(shares.max())}
        made = self._tiled(given)[0] if self.graph.takes_any_size else self.forward(given)[0]
        if self.task == "segment":
            pixels = (made.argmax(0) * (255 if len(made) == 2 else 1)).astype(np.uint8)
        elif made.ndim == 3 and len(made) in _MODES:
            pixels = (made.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
        else:
            raise ValueError(f"the task {self.task} gives no image; run model.py of the bundle")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 and pixels.ndim == 3 else pixels).save(target)
        return {"output": str(target)}

    def _read(self, source: Path) -> "Array":
        import numpy as np
        from PIL import Image, UnidentifiedImageError

        shape = self.graph.input_shape
        if len(shape) != 3 or shape[0] not in _MODES:
            raise ValueError(f"this network takes samples of shape {shape} and no images; run model.py of the bundle")
        try:
            with Image.open(source) as opened:
                image = opened.convert(_MODES[shape[0]])
        except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
            raise ValueError(f"it cannot be read as an image: {error}") from error
        if not self.graph.takes_any_size and image.size != (shape[2], shape[1]):
            raise ValueError(
                f"it has {image.size[0]} × {image.size[1]} pixels, and this network takes {shape[2]} × {shape[1]}"
            )
        pixels = np.asarray(image).reshape(1, *image.size[::-1], shape[0])
        return pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)

    def _tiled(self, image: "Array") -> "Array":
        """The network on an image (1, C, H, W) of any size; a large one in tiles, with what lies around each."""
        import numpy as np

        height, width = image.shape[2:]
        if height * width <= _TILE * _TILE:
            return self.forward(image)
        stride = self.graph.stride()
        margin = -(-self.graph.reach() // stride) * stride
        core = max((_TILE - 2 * margin) // stride * stride, 2 * margin, stride)
        rows = []
        for y in range(0, height, core):
            row = []
            for x in range(0, width, core):
                top, left = max(0, y - margin), max(0, x - margin)
                part = self.forward(image[:, :, top : y + core + margin, left : x + core + margin])
                row.append(part[:, :, y - top : y - top + core, x - left : x - left + core])
            rows.append(np.concatenate(row, axis=3))
        return np.concatenate(rows, axis=2)

    def _by_onnx(self) -> "Callable[[Array], Array]":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(self._bundle.read("model.onnx"), options)
        except Exception as error:
            raise BundleInvalid(f"ONNX Runtime does not take model.onnx: {error}") from error
        return lambda given: session.run(None, {"input": given})[0]

    def _by_torch(self) -> "Callable[[Array], Array]":
        folder = self._stack.enter_context(self._bundle.unpacked())
        program = module(folder)
        loaded, torch = program.load(folder), program.torch

        def forward(given: "Array") -> "Array":
            with torch.no_grad():
                return loaded(torch.from_numpy(given)).numpy()  # type: ignore[no-any-return]

        return forward


def network(bundle: Bundle, with_: Runtime) -> RunnableNetwork:
    """The network of a bundle. Raises BundleInvalid."""
    return RunnableNetwork(bundle, with_)


def places(source: Path, target: Path | None, task: str) -> Iterator[tuple[Path, Path]]:
    """The images that are meant, and where the result of each goes. Raises CannotRun where there are none."""
    if not source.exists():
        raise CannotRun(f"{source} is not there")
    if source.is_dir():
        images = sorted(path for path in source.iterdir() if path.suffix.lower() in _SUFFIXES)
        if not images:
            raise CannotRun(f"{source} holds no images")
        if target is not None and target.exists() and not target.is_dir():
            raise CannotRun(f"--out {target}: the results of a folder go into a folder")
        folder = target or Path(f"{source.resolve().name}-{task}")
        stems = [path.stem for path in images]
        for path in images:  # two images of one name and different kinds keep both results
            yield path, folder / (f"{path.name if stems.count(path.stem) > 1 else path.stem}.png")
        return
    if target is None:
        yield source, Path(f"{source.stem}-{task}.png")
    elif target.is_dir():
        yield source, target / f"{source.stem}.png"
    elif target.suffix.lower() not in _SUFFIXES:
        raise CannotRun(f"--out {target}: name an image, such as {target.stem or 'out'}.png, or a folder that is there")
    else:
        yield source, target


def _is_here(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)
