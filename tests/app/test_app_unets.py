"""Searches of U-Nets and convolutional networks: what is refused and where, and what an estimate says of the rest."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from store.database import read

pytestmark = pytest.mark.anyio

SIDE = 24
UNET = {"kind": "unet", "levels": 2, "base": 16, "convolutions": 1}
CONVNET = {"kind": "convnet", "channels": [8, 8], "hidden": [16]}
MLP = {"kind": "mlp", "widths": [16]}
HALF = {"fraction": 0.5}


def png(shape, values=256, seed=0):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).choice(values, shape).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return "mine.zip", file.getvalue()


def npz(x, **more):
    file = io.BytesIO()
    np.savez(file, x=x, **more)
    return "mine.npz", file.getvalue()


def pairs(shapes, labels, values=256):
    """Images of these shapes, and labels of these values, or of those below."""
    images = {f"image/{n}.png": png(shape, 256, n) for n, shape in enumerate(shapes)}
    return zipped(images | {f"label/{n}.png": png(shape, values, n) for n, shape in enumerate(labels)})


SQUARES = [(SIDE, SIDE)] * 12
SETS = {
    "grey": lambda: zipped({f"{n}.png": png(shape, 256, n) for n, shape in enumerate(SQUARES)}),
    "mixed": lambda: zipped({f"{n}.png": png((SIDE, SIDE + n % 4), 256, n) for n in range(12)}),
    "tiny": lambda: zipped({f"{n}.png": png((5, 5), 256, n) for n in range(12)}),
    "masks": lambda: pairs(SQUARES, SQUARES, values=3),
    "holes": lambda: pairs(SQUARES, SQUARES, values=[0, 2, 5]),
    "partners": lambda: pairs(SQUARES, [(*shape, 3) for shape in SQUARES]),
    "table": lambda: npz(np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32), y=np.arange(40) % 3),
}

REFUSED = [
    # The images do not suit the network.
    ("tiny", {}, ["superstructure"], "pixels away, and the smallest image has 5×5"),
    ("tiny", {"superstructure": {**UNET, "levels": 5}}, ["superstructure", "levels"], "take at most 3 levels"),
    ("table", {}, ["task"], "needs images"),
    ("table", {"task": {"kind": "classify"}}, ["data"], "take an mlp"),
    ("table", {"task": {"kind": "classify"}, "superstructure": CONVNET}, ["data"], "take an mlp"),
    # The task does not suit the network, or the data.
    ("digits", {"task": {"kind": "classify"}}, ["task"], "take a convnet"),
    ("grey", {"task": {"kind": "classify"}, "superstructure": CONVNET}, ["task"], "needs labels"),
    ("grey", {"task": {"kind": "segment"}}, ["task"], "segment needs masks, and this data set has images alone"),
    ("partners", {"task": {"kind": "segment"}}, ["task"], "this data set has pairs of images"),
    ("holes", {"task": {"kind": "segment"}}, ["task"], "a mask of classes 0 … K-1"),
    ("masks", {"task": {"kind": "translate"}}, ["task"], "this data set has masks"),
    ("masks", {"task": {"kind": "segment"}, "superstructure": {**UNET, "residual": True}},
     ["superstructure", "residual"], "3 channels and the input 1"),
    ("partners", {"task": {"kind": "translate"}, "superstructure": {**UNET, "residual": True}},
     ["superstructure", "residual"], "3 channels and the input 1"),
    # Sizes that there are not.
    ("grey", {"target": {"parameters": 40}}, ["target", "parameters"], "from 41 to 11,745 parameters; 40 is not"),
    ("grey", {"target": {"parameters": 11_746}}, ["target", "parameters"], "11,746 is not among them"),
    ("grey", {"target": {"macs": 10}}, ["target", "macs"], "10 is not among them"),
    ("grey", {"target": {"neurons": 2}}, ["target", "neurons"], "from 3 to 64 neurons"),
    # Comparisons that are not defined here.
    ("grey", {"compare": ["geometric"]}, ["compare"], "geometric is not defined for a unet"),
    ("grey", {"target": HALF, "compare": ["flat", "linear"]}, ["compare"], "ratio, random, scratch, control"),
    ("grey", {"superstructure": MLP, "compare": ["ratio"]}, ["compare"], "ratio is not defined for an mlp"),
    ("grey", {"superstructure": MLP, "compare": ["control"]}, ["compare"], "control is not defined for an mlp"),
    ("grey", {"compare": ["control"], "method": {"optimizer": "proxadam"}}, ["compare"], "there is none here"),
    ("digits", {"superstructure": CONVNET, "task": {"kind": "classify"}, "compare": ["linear"]}, ["compare"],
     "linear is not defined for a convnet"),
    ("grey", {"compare": ["controll"]}, ["compare", 0], "'control'"),
    # Settings that mean nothing for convolutions, or cannot be kept.
    ("grey", {"superstructure": {**UNET, "skips": "searched"}}, ["superstructure", "skips"], "unknown field"),
    ("grey", {"method": {"skip_lam": 0.1}}, ["method", "skip_lam"], "ask an mlp"),
    ("grey", {"method": {"depth": "searched"}, "target": HALF}, ["method", "depth"], "not for a unet"),
    ("grey", {"method": {"selection": "swaps"}}, ["method", "selection"], "give a target"),
    ("grey", {"method": {"selection": "swap"}, "target": HALF}, ["method", "selection"], "'swaps'; given: 'swap'"),
    ("grey", {"method": {"density": 0.1}, "target": HALF}, ["method", "density"], "selection quantile or admission"),
    ("grey", {"method": {"lam": 0.1}, "target": HALF}, ["method", "lam"], "or the target"),
    ("grey", {"method": {"optimizer": "lasso"}, "target": HALF}, ["method", "optimizer"], "adabreg or linbreg"),
    ("grey", {"superstructure": {**UNET, "norm": "batch"}}, ["superstructure", "norm"], "cannot be shrunk exactly"),
    ("grey", {"superstructure": {**UNET, "bias": "free"}}, ["superstructure", "bias"], "take grouped"),
    ("grey", {"superstructure": {**UNET, "kernel": 4}}, ["superstructure", "kernel"], "must be odd"),
    ("grey", {"superstructure": {**UNET, "growth": 8, "levels": 8}}, ["superstructure"], "take fewer levels"),
    ("digits", {"superstructure": {**CONVNET, "channels": [8] * 6}, "task": {"kind": "classify"}},
     ["superstructure", "pool_after"], "3 at most"),
    # Crops.
    ("grey", {"budget": {"crop": SIDE + 1}}, ["budget", "crop"], f"take at most {SIDE}"),
    ("grey", {"budget": {"crops_per_image": 2}}, ["budget", "crops_per_image"], "give budget.crop too"),
    ("grey", {"superstructure": CONVNET, "budget": {"crop": 8}}, ["budget", "crop"], "leave it out"),
    ("mixed", {}, ["budget", "crop"], f"give a side of at most {SIDE} pixels"),
    ("mixed", {"superstructure": CONVNET}, ["data"], "takes one size only"),
    ("grey", {"task": {"kind": "super_resolve", "factor": 4}, "budget": {"crop": 7}}, ["budget", "crop"], "8 pixels"),
    # More than the server has room for.
    ("grey", {"superstructure": {**UNET, "base": 2048}}, ["superstructure", "base"], "take a smaller base"),
    ("digits", {"superstructure": {**CONVNET, "channels": [4096] * 3}, "task": {"kind": "classify"}},
     ["superstructure", "channels"], "narrow the channels"),
]  # fmt: skip


@pytest.fixture
def upload(client):
    """The id of a set of this name, uploaded; a name of the catalogue stays."""
    known = {}

    async def upload(name):
        if name in SETS and name not in known:
            answered = await client.post("/v1/datasets", files={"file": SETS[name]()})
            assert answered.status_code == 201, answered.text
            known[name] = answered.json()["id"]
        return known.get(name, name)

    return upload


@pytest.fixture
def ask(client, upload):
    async def ask(name, path="/v1/searches/estimate", **changes):
        asked = {"superstructure": UNET, "task": {"kind": "denoise"}, "data": await upload(name), **changes}
        return await client.post(path, json=asked)

    return ask


async def test_what_does_not_fit_is_refused_where_it_stands_and_queues_nothing(ask, service):
    wrong = []
    for name, changes, loc, words in REFUSED:
        answered = await ask(name, "/v1/searches", **changes)
        told = [(error["loc"], error["msg"]) for error in answered.json().get("errors", [])]
        if answered.status_code != 422 or [where for where, _ in told] != [loc] or words not in told[0][1]:
            wrong.append((name, changes, told))
    assert wrong == [], "\n".join(map(str, wrong))
    with read(service.engine) as tx:
        assert tx.scalar(text("SELECT count(*) FROM searches")) == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pairs(SQUARES, [(SIDE, SIDE + 2), *SQUARES[1:]]), "size"),
        (pairs(SQUARES, SQUARES[1:]), "no"),
        (npz(np.zeros((12, 5, SIDE, SIDE), np.uint8)), "1 to 4 channels"),
    ],
)
async def test_what_no_network_can_take_is_refused_at_the_upload(client, given, words):
    answered = await client.post("/v1/datasets", files={"file": given})

    assert answered.status_code == 422, answered.text
    assert words in answered.json()["detail"]


async def test_what_fits_is_accepted_and_its_layers_are_the_convolutions(ask):
    answered = await ask("masks", "/v1/searches", task={"kind": "segment"}, target=HALF)
    assert answered.status_code == 202, answered.text
    layers = (await ask("masks", task={"kind": "segment"})).json()["layers"]
    assert [(layer["name"], layer["width"], layer["searched"]) for layer in layers] == [
        ("down1_1", 16, True), ("down2_1", 32, True), ("up1_1", 16, True), ("head", 3, False),
    ]  # fmt: skip


async def test_the_estimate_of_crops_of_mixed_sizes_says_what_a_step_takes(ask):
    whole, crops = [
        (await ask("mixed", budget={"crop": side, "crops_per_image": 1})).json() for side in (SIDE, SIDE // 2)
    ]
    assert crops["parameters"] == whole["parameters"]
    assert crops["seconds_guess"] < whole["seconds_guess"]
    assert crops["memory_bytes"] <= whole["memory_bytes"]
    assert crops["epochs"] == {"search": 30, "finetune": 10, "compare": 2 * 40, "seeds": 1}
    controlled = (await ask("mixed", budget={"crop": SIDE}, target=HALF)).json()
    assert controlled["epochs"]["compare"] == 3 * 40


async def test_rivals_that_take_more_arithmetic_than_the_superstructure_are_part_of_the_estimate(ask):
    """At half the parameters of a network that is wide on its coarse levels, others are wide on the fine ones."""
    deep = {"kind": "unet", "levels": 4, "base": 16, "convolutions": 1}
    alike, ratio = [
        (await ask("photos", superstructure=deep, target=HALF, compare=[name])).json() for name in ("scaled", "ratio")
    ]
    assert ratio["seconds_guess"] > 2 * alike["seconds_guess"]
    assert ratio["memory_bytes"] > 1.2 * alike["memory_bytes"]
    assert ratio["target"] == alike["target"] == alike["parameters"] // 2
