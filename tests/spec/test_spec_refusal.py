"""What is refused, where, and with which words: nothing that is given is ever ignored."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spec import EXAMPLE, DataShape, SearchSpec, SpecError, explain, plan

MNIST = DataShape("image", (1, 28, 28), 10, None, 4500, 4500 * 784)
TABLE = DataShape("table", (10,), None, 1, 354, 14_000)
GIB = 2**30


def refused(**changes):
    with pytest.raises(ValidationError) as error:
        SearchSpec.model_validate_json(json.dumps({**EXAMPLE, **changes}))
    return [(".".join(map(str, p.loc)), p.msg) for p in explain(error.value, SearchSpec)]


@pytest.mark.parametrize(
    ("changes", "loc", "words"),
    [
        ({"superstructure": {"kind": "mlpp", "widths": [3]}}, "superstructure.kind", "did you mean 'mlp'?"),
        ({"superstructure": {"kind": "unett"}}, "superstructure.kind", "did you mean 'unet'?"),
        ({"superstructure": {"kind": "unet", "widths": [8]}}, "superstructure.widths", "unknown field"),
        ({"superstructure": {"kind": "unet", "skips": "searched"}}, "superstructure.skips", "unknown field"),
        ({"task": {"kind": "denoize"}}, "task.kind", "did you mean 'denoise'?"),
        ({"task": {"kind": "superresolve"}}, "task.kind", "did you mean 'super_resolve'?"),
        ({"task": {"kind": "super_resolve", "factor": 1}}, "task.factor", "greater than or equal to 2"),
        ({"budget": {"crop": 3}}, "budget.crop", "greater than or equal to 4"),
        ({"budget": {"crop": 8, "crops_per_image": 0}}, "budget.crops_per_image", "greater than or equal to 1"),
        ({"task": {"kind": "denoise", "sgma": 1}}, "task.sgma", "did you mean 'sigma'?"),
        ({"metod": {}}, "metod", "did you mean 'method'?"),
        ({"superstructure": {"kind": "mlp", "widths": [5], "widht": 1}}, "superstructure.widht", "'widths'?"),
        ({"superstructure": {"kind": "mlp", "widths": [0]}}, "superstructure.widths.0", "greater than or equal to 1"),
        ({"superstructure": {"kind": "mlp", "widths": [-1]}}, "superstructure.widths.0", "given: -1"),
        ({"superstructure": {"kind": "mlp", "widths": [10**7]}}, "superstructure.widths.0", "less than or equal"),
        ({"superstructure": {"kind": "mlp", "widths": [9] * 200}}, "superstructure.widths", "at most 64"),
        ({"superstructure": {"kind": "mlp", "widths": []}}, "superstructure.widths", "at least 1"),
        ({"superstructure": {"kind": "mlp", "widths": ["9"]}}, "superstructure.widths.0", "integer"),
        ({"method": {"lr": float("nan")}}, "method.lr", "finite"),
        ({"method": {"lr": -1.0}}, "method.lr", "greater than 0"),
        ({"method": {"lam": float("inf")}}, "method.lam", "finite"),
        ({"method": {"density": 0.0}}, "method.density", "greater than 0"),
        ({"method": {"density": 1.5}}, "method.density", "less than or equal to 1"),
        ({"task": {"kind": "denoise", "sigma": float("-inf")}}, "task.sigma", "finite"),
        ({"task": {"kind": "deblur", "kernel_size": 4}}, "task.kernel_size", "odd"),
        ({"method": {"momentum": 0.9}}, "method.momentum", "unknown field"),
        ({"method": {"optimizer": "linbreg", "betas": [0.9, 0.9]}}, "method.betas", "unknown field"),
        ({"method": {"optimizer": "adan"}}, "method.optimizer", "did you mean"),
        ({"method": {"optimizer": None}}, "method.optimizer", "name of an optimizer"),
        ({"method": [1]}, "method.optimizer", "name of an optimizer"),
        ({"budget": {"epocs": 3}}, "budget.epocs", "did you mean 'epochs'?"),
        ({"seed": True}, "seed", "integer"),
        ({"name": "a\u0000b"}, "name", "not allowed"),
        ({"data": "../etc/passwd"}, "data", "not allowed"),
        ({"metadata": {str(k): "v" for k in range(17)}}, "metadata", "at most 16"),
    ],
)
def test_each_refusal_names_the_field_and_says_what_to_write(changes, loc, words):
    problems = refused(**changes)
    assert loc in [where for where, _ in problems], problems
    assert any(words in said for where, said in problems if where == loc), problems


@given(st.text(min_size=1, max_size=20).filter(lambda name: name not in SearchSpec.model_fields))
def test_no_unknown_field_passes(name):
    with pytest.raises(ValidationError) as error:
        SearchSpec.model_validate({**EXAMPLE, name: 1})
    assert any(problem.loc == (name,) for problem in explain(error.value, SearchSpec))


def test_many_problems_are_told_with_an_end():
    problems = refused(superstructure={"kind": "mlp", "widths": [0] * 60})
    assert len(problems) == 21
    assert "more" in problems[-1][1]


def test_what_only_follows_from_another_problem_is_not_told():
    assert len(refused(superstructure={"kind": "mlp", "widths": [0]})) == 1
    assert len(refused(superstructure={"kind": "unett", "levels": 3})) == 1


def test_what_was_accepted_is_accepted_again_with_its_defaults_filled_in():
    spec = SearchSpec.model_validate_json(json.dumps(EXAMPLE))
    assert SearchSpec.model_validate_json(spec.model_dump_json()) == spec
    for optimizer in ("adabreg", "linbreg", "proxadam", "proxsgd"):
        spec = SearchSpec.model_validate({**EXAMPLE, "method": {"optimizer": optimizer}})
        assert SearchSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_what_does_not_fit_the_data_is_refused_by_the_plan():
    def planned(data, limit=8 * GIB, **changes):
        return plan(SearchSpec.model_validate({**EXAMPLE, **changes}), data, limit)

    with pytest.raises(SpecError, match="needs labels"):
        planned(TABLE, task={"kind": "classify"})
    with pytest.raises(SpecError, match="numeric targets"):
        planned(MNIST, task={"kind": "regress"})
    with pytest.raises(SpecError, match="needs images"):
        planned(TABLE, task={"kind": "deblur"})
    with pytest.raises(SpecError, match="at most 55") as error:
        planned(MNIST, task={"kind": "deblur", "kernel_size": 57})
    assert error.value.loc == ("task", "kernel_size")
    with pytest.raises(SpecError, match="GiB, the limit is") as error:
        planned(MNIST, superstructure={"kind": "mlp", "widths": [60_000] * 8})
    assert error.value.loc == ("superstructure", "widths")
