"""The picture of what was found: bars as high as layers are wide, a row for every image size, the skips between."""

from xml.etree import ElementTree

import pytest

from spec.convnet import Convnet
from spec.mlp import Mlp
from spec.unet import Unet
from worker.picture import svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(graph, counts):
    """Filled bars by layer, as (middle y, height), and lines by the layers that they join."""
    root = ElementTree.fromstring(svg(graph, counts))
    names = {float(t.get("x")): t.text for t in root.iter(f"{SVG}text") if t.get("fill") == "#5b6875"}
    bars, at = {}, {}
    for rect in root.iter(f"{SVG}rect"):
        if rect.get("fill") in ("#1f5fa8", "#c9d2dc"):
            x, y, height = (float(rect.get(key)) for key in ("x", "y", "height"))
            name = names[x + float(rect.get("width")) / 2]
            bars[name] = (round(y + height / 2), height)
            at |= {x: name, x + float(rect.get("width")): name}
    lines = [(at[float(line.get("x1"))], at[float(line.get("x2"))]) for line in root.iter(f"{SVG}line")]
    return bars, lines, root.find(f"{SVG}title").text


def test_a_unet_is_drawn_as_a_u_with_its_skips():
    graph = Unet(kind="unet", levels=3, base=8, convolutions=2).graph((1, 32, 32), (1, 32, 32))
    counts = {node.name: node.width // 2 for node in graph.searched()} | {"down2_1": 1}
    bars, lines, title = drawn(graph, counts)
    rows = {name: middle for name, (middle, _) in bars.items()}
    assert rows["input"] == rows["down1_2"] == rows["up1_1"] == rows["head"]
    assert rows["down1_1"] < rows["down2_1"] == rows["up2_2"] < rows["down3_1"] == rows["down3_2"]
    assert bars["down3_1"][1] == 4 * bars["down1_1"][1] == 120
    assert bars["down2_1"][1] == pytest.approx(240 / 32, abs=0.1)
    assert sorted(lines) == sorted(
        [
            ("down1_2", "down2_1"),
            ("down2_2", "down3_1"),
            ("down3_2", "up2_1"),
            ("down2_2", "up2_1"),
            ("up2_2", "up1_1"),
            ("down1_2", "up1_1"),
        ]
    )
    assert title.startswith("Neurons a layer: input 1, down1_1 4 of 8, ")


def test_a_level_that_is_cut_off_is_left_empty_whatever_else_is_awake_in_it():
    graph = Unet(kind="unet", levels=3, base=8, convolutions=1).graph((1, 32, 32), (1, 32, 32))
    bars, lines, title = drawn(graph, {"up2_1": 0})
    assert set(bars) == {"input", "down1_1", "up1_1", "head"}
    assert lines == [("down1_1", "up1_1")]
    assert "down3_1 0 of 32" in title


def test_an_mlp_is_one_row_without_lines_and_a_convnet_goes_down():
    bars, lines, _ = drawn(Mlp(kind="mlp", widths=[64, 32]).graph((1, 8, 8), (10,)), {"hidden1": 16})
    assert {name: height for name, (_, height) in bars.items()} == {
        "input": 240,
        "hidden1": 60,
        "hidden2": 120,
        "head": 37.5,
    }
    assert len({middle for middle, _ in bars.values()}) == 1
    assert lines == []
    bars, lines, _ = drawn(Convnet(kind="convnet", channels=[4, 8]).graph((1, 8, 8), (10,)), {})
    assert bars["conv1"][0] < bars["conv2"][0] < bars["head"][0]
    assert lines == [("conv1", "conv2"), ("conv2", "head")]
