"""The generated `model.py`: the found network as plain PyTorch that needs torch and safetensors alone."""

import math
from string import Template

import torch

from models.network import Network
from spec.graph import Activation, Node

_CALL: dict[Activation, str] = {
    "none": "{}",
    "silu": "F.silu({})",
    "gelu": "F.gelu({})",
    "relu": "F.relu({})",
    "sigmoid": "torch.sigmoid({})",
}

_FILE = Template('''\
"""$title

Found by Bregnas. Needs torch and safetensors alone$needs:

    python model.py                  replay samples.safetensors, print the largest difference
    $usage
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

INPUT_SHAPE = $input_shape
OUTPUT_SHAPE = $output_shape


class Network(nn.Module):
    """(batch, $input_text) -> (batch, $output_text), preprocessing included."""

    def __init__(self):
        super().__init__()
$init

    def forward(self, $input):
$forward


def load(folder="."):
    """The trained network, ready for inference."""
    network = Network()
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return network.eval()


def replay(folder="."):
    """Largest difference to the outputs that were recorded when the network was exported, and their scale."""
    samples = load_file(Path(folder) / "samples.safetensors")
    with torch.no_grad():
        difference = (load(folder)(samples["input"]) - samples["output"]).abs().max()
    return float(difference), max(1.0, float(samples["output"].abs().max()))

$run

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    if len(sys.argv) == 1:
        difference, scale = replay(here)
        print(f"largest difference to the recorded outputs: {difference:.3g}")
        sys.exit(0 if difference <= 1e-4 * scale else "the outputs differ from the recorded ones")
    if len(sys.argv) > 3:
        sys.exit(__doc__)
    try:
        run(here, *sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1:]}: {error}")
''')

_READ_IMAGE = '''
def read(path):
    """An image file as a batch of one, with values in [0, 1]."""
    import numpy
    from PIL import Image

    channels, height, width = INPUT_SHAPE
    image = Image.open(path).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    if image.size != (width, height):
        sys.exit(f"{path} has {image.size[0]} x {image.size[1]} pixels; this network takes {width} x {height}")
    pixels = torch.from_numpy(numpy.array(image)).reshape(1, height, width, channels)
    return pixels.permute(0, 3, 1, 2).float() / 255

'''

_RUN_IMAGE_TO_IMAGE = (
    _READ_IMAGE
    + '''
def run(folder, source, target=None):
    """Run the network on an image file and write the result as an image."""
    if target is None:
        sys.exit("name the file for the result too: python model.py in.png out.png")
    from PIL import Image

    with torch.no_grad():
        output = load(folder)(read(source))[0]
    pixels = (output.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(target)
    print(f"wrote {target}")
'''
)

_RUN_IMAGE_TO_CLASS = (
    _READ_IMAGE
    + '''
def run(folder, source, target=None):
    """Print the class of an image file and its probability."""
    if target is not None:
        sys.exit("a classifier writes no image: python model.py in.png")
    with torch.no_grad():
        probabilities = load(folder)(read(source)).softmax(1)[0]
    print(f"class {int(probabilities.argmax())}, probability {float(probabilities.max()):.3f}")
'''
)

_RUN_TABLE = '''
def run(folder, source, target=None):
    """Run the network on a text file of comma-separated rows and print its outputs."""
    if target is not None:
        sys.exit("the outputs are printed: python model.py in.csv")
    rows = [[float(v) for v in line.split(",")] for line in Path(source).read_text().split()]
    with torch.no_grad():
        for row in load(folder)(torch.tensor(rows).reshape(-1, *INPUT_SHAPE)):
            print(",".join(f"{v:.6g}" for v in row.flatten().tolist()))
'''


def source(network: Network, title: str) -> str:
    """The text of `model.py` for a (shrunk) network; `title` is its first line."""
    graph = network.graph
    kind = _kind(network)
    names = {node.name: "x" for node in graph.nodes}
    name = "image" if len(graph.input_shape) == 3 else "x"
    straight = all(len(node.sources) < 2 for node in graph.nodes)
    if not straight:
        names = {node.name: node.name for node in graph.nodes}
    lines = [f"{names[node.name]} = {_expression(node, names, name, network)}" for node in graph.nodes]
    out = f"{names[graph.nodes[-1].name]}.reshape(-1, *OUTPUT_SHAPE)"
    lines.append(
        f"return {out} * self.output_std + self.output_mean" if network.outputs is not None else f"return {out}"
    )
    return _FILE.substitute(
        title=title.replace("\\", " ").replace('"', "'"),
        input_shape=repr(graph.input_shape),
        output_shape=repr(graph.output_shape),
        input_text=", ".join(map(str, graph.input_shape)),
        output_text=", ".join(map(str, graph.output_shape)),
        input=name,
        init="\n".join(f"        {line}" for line in _init(network)),
        forward="\n".join(f"        {line}" for line in lines),
        run=_KINDS[kind],
        needs="" if kind == "table" else " (and Pillow to run image files)",
        usage=_USAGE[kind],
    )


def tensors(network: Network) -> dict[str, torch.Tensor]:
    """The contents of `model.safetensors`: the state of the generated class, contiguous float32 on the CPU."""
    state = {"mean": network.inputs.mean, "std": network.inputs.std}
    if network.outputs is not None:
        state |= {"output_mean": network.outputs.mean, "output_std": network.outputs.std}
    for name, layer in network.layers.items():
        state |= {f"{name}.{key}": value for key, value in layer.state_dict().items()}
    for name, scalars in network.scalars.items():
        state[f"{name}_scalars"] = scalars
    for name, place in network.places.items():
        state |= {f"{name}_{key}": value for key, value in place.state_dict().items()}
    return {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}


def _init(network: Network) -> list[str]:
    lines = []
    for key, value in tensors(network).items():
        if "." not in key:
            dtype = "" if value.dtype.is_floating_point else ", dtype=torch.int64"
            lines.append(f'self.register_buffer("{key}", torch.zeros({tuple(value.shape)}{dtype}))')
    for node in network.graph.layers():
        linear = network.layer(node)
        lines.append(f"self.{node.name} = nn.Linear({linear.in_features}, {linear.out_features})")
    return lines


def _expression(node: Node, names: dict[str, str], given: str, network: Network) -> str:
    sources = [names[s] for s in node.sources]
    match node.op:
        case "input":
            return f"({given} - self.mean) / self.std"
        case "flatten":
            return f"{sources[0]}.flatten(1)"
        case "concat":
            return f"torch.cat([{', '.join(sources)}], dim=1)"
        case "linear":
            return _CALL[node.activation].format(f"self.{node.name}({sources[0]})")
        case "sum":
            scaled = [f"self.{node.name}_scalars[{k}] * {names[s]}" for k, s in enumerate(node.scaled)]
            return " + ".join([*(names[s] for s in node.plain), *scaled])
        case "place" if node.name in network.places:
            x, name = sources[0], f"self.{node.name}"
            sleeping = f"{name}_constant.expand({x}.shape[0], -1)"
            return f"torch.cat([{x}, {sleeping}], dim=1).index_select(1, {name}_order)"
        case _:
            return sources[0]


def _kind(network: Network) -> str:
    given, made = network.graph.input_shape, network.graph.output_shape
    if len(given) != 3 or given[0] not in (1, 3, 4):
        return "table"
    if len(made) == 3:
        return "image"
    return "class" if math.prod(made) > 1 and network.outputs is None else "table"


_KINDS = {"table": _RUN_TABLE, "image": _RUN_IMAGE_TO_IMAGE, "class": _RUN_IMAGE_TO_CLASS}
_USAGE = {
    "table": "python model.py in.csv           run rows of comma-separated numbers, print the outputs",
    "image": "python model.py in.png out.png   run an image, write the result as an image",
    "class": "python model.py in.png           print the class of an image",
}
