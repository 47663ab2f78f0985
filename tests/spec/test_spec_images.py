"""Tasks on images and what they need of the data: pairs, masks, sizes; and the crops that training sees."""

from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from spec import EXAMPLE, Crops, DataShape, Pairs, SearchSpec, Sizes, SpecError, crops, plan
from spec.method import Budget
from spec.task import Task, output_shape
from spec.unet import Unet

GREY = DataShape("image", (1, 64, 80), None, None, 100, 100 * 64 * 80)
PARTNERS = replace(GREY, pairs=Pairs("image", 3))
MASKS = replace(GREY, pairs=Pairs("mask", 1, 4))
VARIED = replace(GREY, sizes=Sizes((48, 56), (64, 100), in_training=True))
TESTED_ON_OTHERS = replace(GREY, sizes=Sizes((48, 56), (200, 100), in_training=False))
TABLE = DataShape("table", (10,), None, 1, 354, 14_000)
UNET = Unet(kind="unet", levels=3, base=4)


def task(kind, **settings):
    return TypeAdapter(Task).validate_python({"kind": kind, **settings})


def cut(data, what=None, superstructure=UNET, **budget):
    what = what or task("denoise")
    graph = superstructure.graph(data.shape, output_shape(what, data))
    return crops(Budget(**budget), what, graph, data)


def test_outputs_have_the_channels_of_partners_and_a_channel_for_every_class():
    assert output_shape(task("super_resolve"), GREY) == (1, 64, 80)
    assert output_shape(task("translate"), PARTNERS) == (3, 64, 80)
    assert output_shape(task("segment"), MASKS) == (4, 64, 80)
    assert output_shape(task("denoise"), MASKS) == (1, 64, 80)  # masks do not keep images from being denoised


@pytest.mark.parametrize(
    ("what", "data", "loc", "words"),
    [
        (task("segment"), GREY, ("task",), "segment needs masks, and this data set has images alone; upload a zip of"),
        (task("segment"), PARTNERS, ("task",), "this data set has pairs of images"),
        (task("translate"), GREY, ("task",), "translate needs pairs of images, and this data set has images alone"),
        (task("translate"), MASKS, ("task",), "this data set has masks"),
        (task("segment"), TABLE, ("task",), "needs images; this data set is a table"),
        (task("super_resolve"), TABLE, ("task",), "needs images"),
        (task("classify"), MASKS, ("task",), "classify needs labels"),
        (task("super_resolve", factor=8), replace(GREY, shape=(1, 80, 12)), ("task", "factor"), "8 times smaller"),
        (task("deblur", kernel_size=63), replace(VARIED, sizes=Sizes((20, 90), (64, 99), True)),
         ("task", "kernel_size"), "images of 20×90; take at most 39"),
    ],
)  # fmt: skip
def test_data_that_cannot_serve_a_task_are_refused_in_words(what, data, loc, words):
    with pytest.raises(SpecError, match=words) as refused:
        output_shape(what, data)
    assert refused.value.loc == loc


def test_an_epoch_gives_as_many_crops_as_fit_beside_each_other_or_as_many_as_are_asked_for():
    assert cut(GREY) is None
    assert cut(GREY, crop=20) == Crops(20, 12)
    assert cut(GREY, crop=64) == Crops(64, 1)
    assert cut(VARIED, crop=30) == Crops(30, 4)
    assert cut(GREY, crop=20, crops_per_image=2) == Crops(20, 2)


def test_whole_images_of_one_size_train_also_where_others_are_tested_on():
    assert cut(TESTED_ON_OTHERS) is None


@pytest.mark.parametrize(
    ("data", "what", "budget", "loc", "words"),
    [
        (VARIED, "denoise", {}, ("budget", "crop"), "trained on by crops; give a side of at most 48 pixels"),
        (VARIED, "denoise", {"crop": 49}, ("budget", "crop"), "smallest image has 56×48 pixels; take at most 48"),
        (GREY, "denoise", {"crops_per_image": 3}, ("budget", "crops_per_image"), "give budget.crop too"),
        (GREY, "deblur", {"crop": 4}, ("budget", "crop"), "deblur needs crops of at least 5 pixels"),
        (replace(GREY, shape=(1, 25, 80)), "denoise", {}, ("superstructure",), "up to 26 pixels away.* 80×25; take"),
    ],
)
def test_images_that_a_training_cannot_use_are_refused_in_words(data, what, budget, loc, words):
    with pytest.raises(SpecError, match=words) as refused:
        cut(data, task(what), **budget)
    assert refused.value.loc == loc


@pytest.mark.parametrize(
    ("changed", "data", "loc", "words"),
    [
        ({"budget": {"crop": 16}}, GREY, ("budget", "crop"), "takes images of one size only; leave it out"),
        ({}, VARIED, ("data",), "sizes from 56×48 to 100×64.*takes one size only; take a unet, or cut"),
        ({}, TESTED_ON_OTHERS, ("data",), "sizes from 56×48 to 100×200"),
        ({"task": {"kind": "segment"}}, MASKS, ("compare",), "segment has none; leave it out"),
        ({"task": {"kind": "segment"}, "compare": [], "budget": {"noise_level": 0.1}}, MASKS, ("budget", "noise_level"),
         "segment has none"),
    ],
)  # fmt: skip
def test_the_plan_refuses_what_an_mlp_cannot_use(changed, data, loc, words):
    small = {"superstructure": {"kind": "mlp", "widths": [8]}, "target": None, **changed}
    with pytest.raises(SpecError, match=words) as refused:
        plan(SearchSpec.model_validate({**EXAMPLE, **small}), data, 2**33)
    assert refused.value.loc == loc


def test_what_is_compared_where_nothing_is_said_follows_the_loss():
    def rivals(kind):
        return SearchSpec.model_validate({**EXAMPLE, "task": {"kind": kind}, "compare": None}).rivals

    assert "linear" in rivals("super_resolve")
    assert "linear" in rivals("translate")
    assert "linear" not in rivals("segment")
