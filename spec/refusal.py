"""How a refused specification is explained: which field, what is wrong, what to write instead."""

import difflib
import typing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

MOST = 20

# Fields that the design has and this version does not: refused as such, never ignored.
PLANNED_FIELDS = {
    "callback_url": "leave it out and poll the search or watch its events",
}


@dataclass(frozen=True)
class Problem:
    """One thing wrong: the path of the field, and words that say what to change."""

    loc: tuple[str | int, ...]
    msg: str


def explain(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """The problems of a refused `model`, at most `MOST` of them, with paths as the user wrote them."""
    errors = _telling(error.errors(include_url=False, include_context=True))
    problems = [Problem(*_explain(e, model)) for e in errors[:MOST]]
    if len(errors) > MOST:
        problems.append(Problem((), f"and {len(errors) - MOST} more"))
    return problems


def _telling(errors: list[Any]) -> list[Any]:
    """Without what only follows from another: a list is not too short whose items are wrong, and a kind that is not
    known has no fields to miss."""
    locs = [error["loc"] for error in errors]
    unknown = [e["loc"][:-1] for e in errors if e["type"] == "literal_error" and e["loc"][-1:] == ("kind",)]
    return [
        e
        for e in errors
        if not (e["type"] == "too_short" and any(loc[: len(e["loc"])] == e["loc"] and loc != e["loc"] for loc in locs))
        and not (e["type"] in ("missing", "extra_forbidden") and e["loc"][:-1] in unknown)
    ]


def _explain(error: Any, model: type[BaseModel]) -> tuple[tuple[str | int, ...], str]:
    loc, known = _resolve(error["loc"], model)
    kind, given = error["type"], error.get("input")
    field = str(loc[-1]) if loc else ""
    if kind == "extra_forbidden":
        if len(loc) == 1 and field in PLANNED_FIELDS:
            return loc, f"{field!r} is not offered yet: {PLANNED_FIELDS[field]}"
        return loc, f"unknown field {field!r}; {_nearest(field, known)}"
    if kind == "union_tag_invalid" or (kind == "literal_error" and field == "kind"):
        if kind == "union_tag_invalid":
            tag, offered = str(error["ctx"]["tag"]), error["ctx"]["expected_tags"].replace("'", "")
            loc = (*loc, "optimizer" if field == "method" else "kind")
        else:
            tag, offered = str(given), error["ctx"]["expected"].replace("'", "")
        what = "optimizer" if loc[-1] == "optimizer" else str(loc[-2]) if len(loc) > 1 else "kind"
        return loc, f"unknown {what} {tag[:60]!r}; {_nearest(tag, offered.split(', '))}"
    if kind == "union_tag_not_found":
        if field == "method":
            return (*loc, "optimizer"), "must be the name of an optimizer, or left out"
        return (*loc, "kind"), "say which kind"
    if kind == "missing":
        return loc, f"{field!r} is required"
    if kind in ("model_type", "model_attributes_type"):
        return loc, "must be a JSON object"
    if kind == "string_pattern_mismatch":
        return loc, f"has a character that is not allowed here; it must match {error['ctx']['pattern']}"
    message = str(error["msg"]).removeprefix("Value error, ").replace("Tuple", "list")
    if isinstance(given, (bool, int, float)) or (isinstance(given, str) and len(given) <= 40):
        message += f"; given: {given!r}"
    return loc, message


def _nearest(given: str, known: typing.Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(names)}"


def _resolve(loc: tuple[str | int, ...], model: type[BaseModel]) -> tuple[tuple[str | int, ...], list[str]]:
    """Drop the tags of unions from a path, and find the fields that are known where it ends."""
    path: list[str | int] = []
    here: list[type[BaseModel]] = [model]
    known = list(model.model_fields)
    for part in loc:
        tagged = [m for m in here if len(here) > 1 and part in _tags(m)]
        if tagged:
            here = tagged
            known = list(tagged[0].model_fields)
            continue
        path.append(part)
        fields = [m.model_fields[part] for m in here if isinstance(part, str) and part in m.model_fields]
        if fields:
            here = _models(fields[0].annotation)
            if len(here) == 1:
                known = list(here[0].model_fields)
    return tuple(path), known


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models(argument)]


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    for name in ("kind", "optimizer"):
        if name in model.model_fields:
            return typing.get_args(model.model_fields[name].annotation)
    return ()
