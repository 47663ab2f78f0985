"""The generated `model.py`: the found network as plain PyTorch that needs torch and safetensors alone."""

import itertools
import math
from string import Template

import torch

from models.network import Network, reads
from models.ops import OPS, Constant, UpConv
from spec.graph import Activation, Graph

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

${shapes}INPUT_SHAPE = $input_shape
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

    channels = INPUT_SHAPE[0]
    image = Image.open(path).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
$check    pixels = torch.from_numpy(numpy.array(image)).reshape(1, *image.size[::-1], channels)
    return pixels.permute(0, 3, 1, 2).float() / 255

'''

_CHECK_SIZE = """\
    height, width = INPUT_SHAPE[1:]
    if image.size != (width, height):
        sys.exit(f"{path} has {image.size[0]} x {image.size[1]} pixels; this network takes {width} x {height}")
"""

_ANY_SIZE = """\
# Images of any height and width are taken; these are the sizes that costs are stated at.
"""

_RUN_IMAGE_TO_IMAGE = '''
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

_RUN_ARRAY = '''
def run(folder, source, target=None):
    """Run the network on an array, (channels, height, width) in a .npy file, and write the result as another."""
    if target is None:
        sys.exit("name the file for the result too: python model.py in.npy out.npy")
    import numpy

    given = numpy.load(source, allow_pickle=False)
    if given.ndim != 3 or given.shape[0] != INPUT_SHAPE[0]:
        sys.exit(f"{source} has shape {given.shape}; this network takes ({INPUT_SHAPE[0]}, height, width)")
    with torch.no_grad():
        numpy.save(target, load(folder)(torch.from_numpy(given)[None].float())[0].numpy())
    print(f"wrote {target}")
'''

_RUN_IMAGE_TO_CLASS = '''
def run(folder, source, target=None):
    """Print the class of an image file and its probability."""
    if target is not None:
        sys.exit("a classifier writes no image: python model.py in.png")
    with torch.no_grad():
        probabilities = load(folder)(read(source)).softmax(1)[0]
    print(f"class {int(probabilities.argmax())}, probability {float(probabilities.max()):.3f}")
'''

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
    given = "image" if len(graph.input_shape) == 3 else "x"
    names = _names(graph)
    lines = []
    for node in graph.nodes:
        read = [names[name] for name in reads(node)] or [given]
        expression = OPS[node.op].emit(node, network.part(node), read)
        lines.append(f"{names[node.name]} = {_CALL[node.activation].format(expression)}")
    shape = [graph.input_shape, graph.output_shape]
    out = names[graph.nodes[-1].name]
    if graph.takes_any_size:
        texts = [f"{channels}, height, width" for channels, *_ in shape]
    else:
        texts = [", ".join(map(str, one)) for one in shape]
        out = f"{out}.reshape(-1, *OUTPUT_SHAPE)"
    lines.append(
        f"return {out} * self.output_std + self.output_mean" if network.outputs is not None else f"return {out}"
    )
    run = _KINDS[kind]
    if kind in ("image", "class"):
        run = _READ_IMAGE.replace("$check", "" if graph.takes_any_size else _CHECK_SIZE) + run
    return _FILE.substitute(
        title=title.replace("\\", " ").replace('"', "'"),
        shapes=_ANY_SIZE if graph.takes_any_size else "",
        input_shape=repr(shape[0]),
        output_shape=repr(shape[1]),
        input_text=texts[0],
        output_text=texts[1],
        input=given,
        init="\n".join(f"        {line}" for line in _init(network)),
        forward="\n".join(f"        {line}" for line in lines),
        run=run,
        needs=_NEEDS[kind],
        usage=_USAGE[kind],
    )


def tensors(network: Network) -> dict[str, torch.Tensor]:
    """The contents of `model.safetensors`: the state of the generated class, contiguous float32 on the CPU."""
    state = {"mean": network.inputs.mean, "std": network.inputs.std}
    if network.outputs is not None:
        state |= {"output_mean": network.outputs.mean, "output_std": network.outputs.std}
    for name, layer in network.layers.items():
        mark = "_" if isinstance(layer, Constant) else "."
        state |= {f"{name}{mark}{key}": value for key, value in layer.state_dict().items()}
        if isinstance(layer, UpConv):  # torch's own has its output channels along dimension 1
            state[f"{name}.weight"] = layer.weight.transpose(0, 1)
    for name, scalars in network.scalars.items():
        state[f"{name}_scalars"] = scalars
    for name, place in network.places.items():
        state |= {f"{name}_{key}": value for key, value in place.state_dict().items()}
    return {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}


def _names(graph: Graph) -> dict[str, str]:
    """A variable for every node: x, unless another node than the next one reads it."""
    following = {a.name: b.name for a, b in itertools.pairwise(graph.nodes)}
    elsewhere = {name for node in graph.nodes for name in reads(node) if following[name] != node.name}
    return {node.name: node.name if node.name in elsewhere else "x" for node in graph.nodes}


def _init(network: Network) -> list[str]:
    lines = []
    for key, value in tensors(network).items():
        if "." not in key:
            dtype = "" if value.dtype.is_floating_point else ", dtype=torch.int64"
            lines.append(f'self.register_buffer("{key}", torch.zeros({tuple(value.shape)}{dtype}))')
    for node in network.graph.layers():
        declare = OPS[node.op].declare
        if declare is not None:
            lines.append(f"self.{node.name} = {declare(network.part(node))}")
    return lines


def _kind(network: Network) -> str:
    given, made = network.graph.input_shape, network.graph.output_shape
    if network.graph.takes_any_size and not {given[0], made[0]} <= {1, 3, 4}:
        return "array"
    if len(given) != 3 or given[0] not in (1, 3, 4):
        return "table"
    if len(made) == 3:
        return "image"
    return "class" if math.prod(made) > 1 and network.outputs is None else "table"


_KINDS = {"table": _RUN_TABLE, "image": _RUN_IMAGE_TO_IMAGE, "class": _RUN_IMAGE_TO_CLASS, "array": _RUN_ARRAY}
_NEEDS = {
    "table": "",
    "image": " (and Pillow to run image files)",
    "class": " (and Pillow to run image files)",
    "array": " (and NumPy to run .npy files)",
}
_USAGE = {
    "table": "python model.py in.csv           run rows of comma-separated numbers, print the outputs",
    "image": "python model.py in.png out.png   run an image, write the result as an image",
    "class": "python model.py in.png           print the class of an image",
    "array": "python model.py in.npy out.npy   run an array (channels, height, width)",
}
