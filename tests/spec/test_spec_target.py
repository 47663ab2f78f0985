"""Sizes that are asked for: what is possible, what is refused, and in which words."""

import pytest
from pydantic import ValidationError

from spec import DataShape, SearchSpec, SpecError, explain, plan

SPEC = {
    "superstructure": {"kind": "mlp", "widths": [64, 32]},
    "task": {"kind": "denoise"},
    "data": "digits",
}
SKIPS = {"kind": "mlp", "widths": [12, 12, 12], "skips": "searched"}
DATA = DataShape("image", (1, 8, 8), 10, None, 1000, 1000 * 64 * 4)
LEAST, MOST = 1 * 65 + 1 * 2 + 64 * 2, 64 * 65 + 32 * 65 + 64 * 33


def planned(**changes):
    return plan(SearchSpec.model_validate({**SPEC, **changes}), DATA, 2**40)


def refused(**changes):
    """The fields and the words of a refusal."""
    try:
        planned(**changes)
    except SpecError as error:
        return [(error.loc, error.message)]
    except ValidationError as error:
        return [(problem.loc, problem.msg) for problem in explain(error, SearchSpec)]
    raise AssertionError("it was accepted")


def test_what_is_possible_is_counted_by_hand():
    assert planned().possible == {
        "parameters": (LEAST, MOST),
        "macs": (64 + 1 + 64, 64 * 64 + 32 * 64 + 64 * 32),
        "neurons": (2, 96),
    }


@pytest.mark.parametrize(
    ("target", "limit"),
    [({"parameters": 3000}, 3000), ({"macs": 2000}, 2000), ({"neurons": 20}, 20), ({"fraction": 0.5}, MOST // 2)],
)
def test_a_target_is_a_number_of_what_it_is_measured_in(target, limit):
    spec = SearchSpec.model_validate({**SPEC, "target": target})
    assert spec.target is not None
    assert spec.target.limit(planned().graph) == limit


@pytest.mark.parametrize("target", [{"parameters": LEAST}, {"parameters": MOST}, {"fraction": 1.0}, {"neurons": 2}])
def test_the_ends_of_the_range_are_possible(target):
    planned(target=target)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"target": {"parameters": LEAST - 1}}, ("target", "parameters"), f"from {LEAST} to {MOST:,} parameters"),
        ({"target": {"parameters": MOST + 1}}, ("target", "parameters"), f"{MOST + 1:,} is not among them"),
        ({"target": {"neurons": 97}}, ("target", "neurons"), "from 2 to 96 neurons"),
        ({"target": {"fraction": 0.001}}, ("target", "fraction"), "to 1 of its parameters"),
        ({"target": {"fraction": 1.5}}, ("target", "fraction"), "less than or equal to 1"),
        ({"target": {"parameters": 300, "macs": 5}}, ("target",), "exactly one of parameters, macs, fraction, neurons"),
        ({"target": {}}, ("target",), "none is given"),
        ({"target": {"size": 5}}, ("target", "size"), "unknown field"),
        ({"target": {"parameters": 300}, "method": {"lam": 0.1}}, ("method", "lam"), "a target decides λ by itself"),
        (
            {"target": {"parameters": 300}, "method": {"optimizer": "proxadam"}},
            ("method", "optimizer"),
            "adabreg or linbreg",
        ),
        ({"compare": ["linear"], "task": {"kind": "classify"}}, ("compare",), "flat, scaled, geometric, random"),
        (
            {"task": {"kind": "classify"}, "budget": {"noise_level": 0.1}},
            ("budget", "noise_level"),
            "of a squared loss, and classify has none",
        ),
        (
            {"start": {"search": "srch_" + "0" * 32, "k": 0}, "method": {"depth": "searched"}},
            ("method", "depth"),
            "has the depth of its start",
        ),
        ({"start": {"search": "srch_" + "0" * 32, "k": 0}, "target": {"neurons": 9}}, ("target",), "leave out"),
        ({"superstructure": SKIPS | {"widths": [9]}}, ("superstructure",), "two hidden layers or more"),
        ({"superstructure": SKIPS | {"widths": [9, 12, 9]}}, ("superstructure",), "such as [12, 12, 12]"),
        ({"superstructure": SKIPS | {"skips": "all"}}, ("superstructure", "skips"), "'none' or 'searched'"),
        (
            {"superstructure": SKIPS, "method": {"optimizer": "proxadam"}},
            ("method", "optimizer"),
            "skips are searched by adabreg or linbreg, not by proxadam",
        ),
        ({"method": {"skip_lam": 0.1}}, ("method", "skip_lam"), "there are no skips"),
        ({"method": {"optimizer": "sgd", "skip_lam": 0.1}}, ("method", "skip_lam"), "unknown field"),
        (
            {"superstructure": SKIPS, "method": {"depth": "searched"}, "target": {"parameters": 900}},
            ("method", "depth"),
            "either the depth is searched or skips are",
        ),
        (
            {"method": {"depth": "searched"}, "target": {"parameters": 900}, "budget": {"precision": "bfloat16"}},
            ("budget", "precision"),
            "a depth is searched in float32",
        ),
        ({"compare": ["flt"]}, ("compare", 0), "'flat'"),
        ({"compare": ["flat", "flat"]}, ("compare",), "once"),
        ({"seeds": []}, ("seeds",), "1 to 10 different seeds"),
        ({"seeds": list(range(100))}, ("seeds",), "given are 100"),
        ({"seeds": [1, 1]}, ("seeds",), "different"),
        ({"seeds": [1, 2], "seed": 3}, ("seeds",), "either seed or seeds"),
    ],
)
def test_what_cannot_be_is_refused_in_words(changes, field, words):
    problems = refused(**changes)
    assert [loc for loc, _ in problems] == [field]
    assert words in problems[0][1]


def test_the_share_that_a_refusal_names_is_itself_possible():
    ((_, message),) = refused(target={"fraction": 1e-9})
    share = float(message.split("from ")[1].split(" to ")[0])
    planned(target={"fraction": share})


def test_a_comparison_is_on_by_default_where_it_is_defined():
    assert SearchSpec.model_validate(SPEC).rivals == ("linear", "flat", "scaled", "scratch")
    assert SearchSpec.model_validate({**SPEC, "task": {"kind": "classify"}}).rivals == ("flat", "scaled", "scratch")
    assert SearchSpec.model_validate({**SPEC, "compare": []}).rivals == ()


def test_a_specification_survives_being_stored():
    spec = SearchSpec.model_validate({**SPEC, "target": {"neurons": 9}, "seeds": [4, 5], "compare": ["random"]})
    assert SearchSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert plan(SearchSpec.model_validate(spec.model_dump(mode="json")), DATA, 2**40).memory_bytes > 0
