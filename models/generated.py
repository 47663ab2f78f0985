"""The texts from which `model.py` is put together: see `models/source.py`."""

from string import Template

FILE = Template('''\
"""$title

Found by Bregnas. Needs torch and safetensors alone$needs:

    python model.py                   replay samples.safetensors, print the largest difference
    $usage
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

${sizes}INPUT_SHAPE = $input_shape
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

CHECK_SIZE = """\
    height, width = INPUT_SHAPE[1:]
    if image.size != (width, height):
        sys.exit(f"{path} has {image.size[0]} x {image.size[1]} pixels; this network takes {width} x {height}")
"""

ANY_SIZE = """\
# How far from a pixel of the output its inputs lie, and how far apart the pixels of the coarsest size are.
REACH, STRIDE = {}, {}
# Images of any height and width are taken; these are the sizes that costs are stated at.
"""

TILED = '''
def tiled(network, image, side=512):
    """network(image), where the image is larger than side x side in tiles that overlap: equal, in less memory."""
    height, width = image.shape[2:]
    if height * width <= side * side:
        return network(image)
    margin = -(-REACH // STRIDE) * STRIDE
    core = max((side - 2 * margin) // STRIDE * STRIDE, 2 * margin, STRIDE)
    rows = []
    for y in range(0, height, core):
        row = []
        for x in range(0, width, core):
            top, left = max(0, y - margin), max(0, x - margin)
            part = network(image[:, :, top : y + core + margin, left : x + core + margin])
            row.append(part[:, :, y - top : y - top + core, x - left : x - left + core])
        rows.append(torch.cat(row, dim=3))
    return torch.cat(rows, dim=2)

'''

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

_RUN_IMAGE_TO_MASK = '''
def run(folder, source, target=None):
    """Run the network on an image file and write the class of every pixel: 0, 1, ..., or 0 and 255 where two are."""
    if target is None:
        sys.exit("name the file for the mask too: python model.py in.png mask.png")
    from PIL import Image

    with torch.no_grad():
        classes = load(folder)(read(source))[0].argmax(0)
    pixels = (classes * (255 if OUTPUT_SHAPE[0] == 2 else 1)).byte().numpy()
    Image.fromarray(pixels).save(target)
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
        output = load(folder)(torch.from_numpy(given)[None].float())[0]
    numpy.save(target, output.numpy())
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

_PILLOW = " (and Pillow to run image files)"

RUN = {
    "table": _RUN_TABLE,
    "image": _READ_IMAGE + _RUN_IMAGE_TO_IMAGE,
    "mask": _READ_IMAGE + _RUN_IMAGE_TO_MASK,
    "class": _READ_IMAGE + _RUN_IMAGE_TO_CLASS,
    "array": _RUN_ARRAY,
}
NEEDS = {
    "table": "",
    "image": _PILLOW,
    "mask": _PILLOW,
    "class": _PILLOW,
    "array": " (and NumPy to run .npy files)",
}
USAGE = {
    "table": "python model.py in.csv            run rows of comma-separated numbers, print the outputs",
    "image": "python model.py in.png out.png    run an image, write the result as an image",
    "mask": "python model.py in.png mask.png   run an image, write the class of every pixel as an image",
    "class": "python model.py in.png            print the class of an image",
    "array": "python model.py in.npy out.npy    run an array (channels, height, width)",
}
