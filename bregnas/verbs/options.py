"""How do options become a search? A file, then options, then `--set`; and which option does a refusal speak of?"""

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
import yaml
from pydantic import ValidationError

from bregnas.errors import APIError
from bregnas.verbs.session import Refused, Usage
from spec import SearchSpec, explain

F = TypeVar("F", bound=Callable[..., Any])

_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgKMG]?)")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def count(text: str) -> int:
    """300k → 300000."""
    found = _COUNT.fullmatch(text.strip())
    value = float(found[1]) * _UNITS[found[2].lower()] if found else 0.5
    if not value.is_integer() or value < 1:
        raise typer.BadParameter(f"{text!r} is not a number of things; write it like 300000, 300k or 1.5M")
    return int(value)


def _numbers(text: str) -> list[int]:
    try:
        return [count(part) for part in text.replace("x", ",").split(",")]
    except typer.BadParameter:
        raise typer.BadParameter(f"{text!r} is not a list of numbers; write it like 128,64,128") from None


def _seeds(text: str) -> list[int]:
    if not re.fullmatch(r"\d{1,10}(,\d{1,10})*", text):
        raise typer.BadParameter(f"{text!r} is not a list of seeds; write it like 1,2,3")
    return [int(part) for part in text.split(",")]


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip() and part.strip() != "none"]


_ROOM, _ASKED, _HOW = "The search", "The size asked for", "How long and how"


def _option(name: str, help_: str, panel: str, **more: Any) -> Any:
    return typer.Option(name, help=help_, rich_help_panel=panel, show_default=False, **more)


@dataclass
class Given:
    """What was typed; the metadata of nothing here is a default: those are the service's."""

    data: Annotated[
        str | None,
        _option("--data", "Name or id of a data set, or a file or folder to upload (./images).", _ROOM, metavar="D"),
    ] = None
    net: Annotated[str | None, _option("--net", "Superstructure: unet, mlp or convnet.", _ROOM, metavar="KIND")] = None
    task: Annotated[
        str | None,
        _option(
            "--task",
            "denoise, autoencode, deblur, super_resolve, translate, segment, classify or regress.",
            _ROOM,
            metavar="KIND",
        ),
    ] = None
    widths: Annotated[
        Any, _option("--widths", "Hidden layers of an mlp: 128,128,128.", _ROOM, parser=_numbers, metavar="N,N,…")
    ] = None
    channels: Annotated[
        Any, _option("--channels", "Convolutions of a convnet: 64,64.", _ROOM, parser=_numbers, metavar="N,N,…")
    ] = None
    levels: Annotated[int | None, _option("--levels", "Sizes at which a unet looks.", _ROOM)] = None
    base: Annotated[int | None, _option("--base", "Channels of a unet's first level.", _ROOM)] = None
    residual: Annotated[
        bool | None,
        _option("--residual/--no-residual", "A unet adds a correction to its input: to denoise or deblur.", _ROOM),
    ] = None
    sigma: Annotated[float | None, _option("--sigma", "Noise, in units of the pixel range [0, 1].", _ROOM)] = None
    factor: Annotated[int | None, _option("--factor", "How many times to enlarge: super_resolve.", _ROOM)] = None
    target_params: Annotated[
        Any, _option("--target-params", "At most so many parameters: 300k.", _ASKED, parser=count, metavar="N")
    ] = None
    target_macs: Annotated[
        Any, _option("--target-macs", "Or so many multiplications a sample: 2M.", _ASKED, parser=count, metavar="N")
    ] = None
    target_fraction: Annotated[
        float | None, _option("--target-fraction", "Or that share of the superstructure's parameters.", _ASKED)
    ] = None
    target_neurons: Annotated[
        Any, _option("--target-neurons", "Or so many neurons (channels).", _ASKED, parser=count, metavar="N")
    ] = None
    epochs: Annotated[int | None, _option("--epochs", "Epochs of the search.", _HOW)] = None
    finetune: Annotated[int | None, _option("--finetune", "Epochs of training on, afterwards.", _HOW)] = None
    batch_size: Annotated[int | None, _option("--batch-size", "Samples a step.", _HOW)] = None
    crop: Annotated[int | None, _option("--crop", "Train on random squares of this side, in pixels.", _HOW)] = None
    lr: Annotated[float | None, _option("--lr", "Step size of the search.", _HOW)] = None
    time_limit: Annotated[int | None, _option("--time-limit", "Seconds after which the search fails.", _HOW)] = None
    compare: Annotated[
        Any,
        _option(
            "--compare", "What it is raced against: flat,scaled,…; none to skip.", _HOW, parser=_words, metavar="A,B"
        ),
    ] = None
    seed: Annotated[int | None, _option("--seed", "Everything random follows from it.", _HOW)] = None
    seeds: Annotated[
        Any, _option("--seeds", "Repeat all of it with each: 1,2,3.", _HOW, parser=_seeds, metavar="N,N,…")
    ] = None
    device: Annotated[str | None, _option("--device", "cpu or cuda.", _HOW)] = None
    name: Annotated[str | None, _option("--name", "What you call the search.", _HOW)] = None
    metadata: Annotated[
        list[str] | None, _option("--metadata", "Kept with it; may be repeated.", _HOW, metavar="KEY=VALUE")
    ] = None
    from_: Annotated[
        str | None,
        _option(
            "--from",
            "A specification in YAML or JSON (- for standard input); options win over it.",
            _HOW,
            metavar="FILE",
        ),
    ] = None
    set_: Annotated[
        list[str] | None,
        _option("--set", "Any other field, by its path; may be repeated.", _HOW, metavar="A.B=JSON"),
    ] = None


PATHS: dict[str, tuple[str, ...]] = {
    "data": ("data",),
    "net": ("superstructure", "kind"),
    "task": ("task", "kind"),
    "widths": ("superstructure", "widths"),
    "channels": ("superstructure", "channels"),
    "levels": ("superstructure", "levels"),
    "base": ("superstructure", "base"),
    "residual": ("superstructure", "residual"),
    "sigma": ("task", "sigma"),
    "factor": ("task", "factor"),
    "target_params": ("target", "parameters"),
    "target_macs": ("target", "macs"),
    "target_fraction": ("target", "fraction"),
    "target_neurons": ("target", "neurons"),
    "epochs": ("budget", "epochs"),
    "finetune": ("finetune", "epochs"),
    "batch_size": ("budget", "batch_size"),
    "crop": ("budget", "crop"),
    "lr": ("method", "lr"),
    "time_limit": ("budget", "time_limit_s"),
    "compare": ("compare",),
    "seed": ("seed",),
    "seeds": ("seeds",),
    "device": ("device",),
    "name": ("name",),
}
"""Which field an option sets."""


def takes_search(verb: F) -> F:
    """Give a verb the options of a search, in place of its parameter `given`."""
    hints = get_type_hints(Given, include_extras=True)
    kinds = get_type_hints(verb, include_extras=True)
    own = [
        p.replace(annotation=kinds[p.name]) for p in inspect.signature(verb).parameters.values() if p.name != "given"
    ]
    options = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[field.name])
        for field in dataclasses.fields(Given)
    ]
    names = {option.name for option in options}

    def called(**arguments: Any) -> Any:
        given = Given(**{name: value for name, value in arguments.items() if name in names})
        return verb(given=given, **{name: value for name, value in arguments.items() if name not in names})

    first = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    called.__signature__ = inspect.Signature([first[0], *options, *first[1:]])  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in (*first, *options)}
    called.__doc__ = verb.__doc__
    called.__name__ = verb.__name__
    return called  # type: ignore[return-value]


def specification(given: Given) -> dict[str, Any]:
    """The search as it is to be posted; not validated. Raises Usage."""
    found = {} if given.from_ is None else _file(given.from_)
    typed = {name: getattr(given, name) for name in PATHS if getattr(given, name) is not None}
    if any(name.startswith("target_") for name in typed):
        found["target"] = {}
    for name in ("net", "task"):  # another kind has other fields
        part = found.get(PATHS[name][0])
        if name in typed and isinstance(part, dict) and part.get("kind") != typed[name]:
            del found[PATHS[name][0]]
    if "seed" in typed or "seeds" in typed:
        found.pop("seeds", None)
        found.pop("seed", None)
    for name, value in typed.items():
        _put(found, PATHS[name], value, f"--{name.replace('_', '-')}")
    for pair in given.metadata or ():
        key, separator, value = pair.partition("=")
        if not separator:
            raise Usage(f"--metadata {pair}: write it like --metadata project=demo")
        _put(found, ("metadata", key), value, "--metadata")
    for assignment in given.set_ or ():
        path, separator, value = assignment.partition("=")
        if not separator or not all(path.split(".")):
            raise Usage(f"--set {assignment}: write it like --set method.density=0.1")
        _put(found, tuple(path.split(".")), _value(value, assignment), f"--set {path}")
    return found


def checked(body: Mapping[str, Any], given: Given) -> SearchSpec:
    """The search as the service will read it, without its data. Raises Refused, which names the options."""
    try:
        return SearchSpec.model_validate_json(json.dumps(body))
    except ValidationError as error:
        raise Refused([(option(p.loc, given), p.msg) for p in explain(error, SearchSpec)]) from error


def refused(error: APIError, given: Given) -> Exception:
    """A 422 in the words of who typed the options; any other error as it is."""
    if error.status != 422 or not error.errors or error.errors[0].loc[:1] in (("header",), ("query",), ("path",)):
        return error
    return Refused([(option(one.loc, given), one.msg) for one in error.errors])


def option(loc: tuple[str | int, ...], given: Given) -> str:
    """The option that sets a field, with what was typed for it."""
    for name, path in PATHS.items():
        if loc[: len(path)] == path:
            value = getattr(given, name)
            shown = ",".join(map(str, value)) if isinstance(value, list) else value
            return f"--{name.replace('_', '-')}" + ("" if value is None or value is True else f" {shown}")
    if loc == ("superstructure",) and given.net is None:
        return "--net"
    if loc == ("task",) and given.task is None:
        return "--task"
    return f"--set {'.'.join(map(str, loc))}" if loc else "the search"


def _put(found: dict[str, Any], path: tuple[str, ...], value: Any, said: str) -> None:
    for part in path[:-1]:
        inner = found.get(part)
        if inner is None:
            inner = found[part] = {}
        if not isinstance(inner, dict):
            raise Usage(f"{said}: {part} is no object here, it is {inner!r}")
        found = inner
    found[path[-1]] = value


def _value(text: str, said: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if _WORD.fullmatch(text):  # a shell has eaten the quotes
            return text
        raise Usage(f"--set {said}: {text!r} is no JSON; write it like 0.1, true, [1, 2] or a single word") from None


def _file(name: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"--from {name}: it cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Usage(f"--from {name}: it is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise Usage(f"--from {name}: it must hold an object, with superstructure, task and data")
    return found
