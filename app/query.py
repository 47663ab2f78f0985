"""What may stand behind the question mark? What a route declares, and nothing else, each once.

A misspelt filter would otherwise be a filter that filters nothing. These dependencies are coroutines, though they wait
for nothing: a function would be sent to a thread, which costs more than it does.
"""

import difflib
import re
from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from app.problems import invalid
from spec.search import Key, Value

METADATA = re.compile(r"metadata\[([^][]*)\]", re.DOTALL)
METADATA_PARAMETER = {
    "name": "metadata",
    "in": "query",
    "style": "deepObject",
    "explode": True,
    "description": "Only searches whose metadata has these pairs: `metadata[project]=x`.",
    "schema": {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 512, "pattern": r"^[^\x00-\x1f\x7f]*$"},
        "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": r"^[^\x00-\x1f\x7f\[\]]*$"},
        "maxProperties": 16,
    },
}
_MOST_PAIRS = 16
# The design has it and this version does not: refused as such.
_KEY: TypeAdapter[str] = TypeAdapter(Key)
_VALUE: TypeAdapter[str] = TypeAdapter(Value)


async def known_query(request: Request) -> None:
    """Refuse query parameters that the route does not declare, and repeated ones."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = [field.alias for field in route.dependant.query_params]
    takes_metadata = METADATA_PARAMETER in (route.openapi_extra or {}).get("parameters", [])
    problems, seen = [], set()
    for name, _ in request.query_params.multi_items():
        if not (name in known or (takes_metadata and METADATA.fullmatch(name))):
            problems.append((("query", name), _unknown(name, [*known, *(["metadata[…]"] if takes_metadata else [])])))
        elif name in seen:
            problems.append((("query", name), f"{name!r} is given twice; give it once"))
        seen.add(name)
    if problems:
        raise invalid(problems[:20])


async def metadata_filter(request: Request) -> dict[str, str]:
    """The pairs of `metadata[key]=value` in the query."""
    pairs: dict[str, str] = {}
    problems = []
    for name, value in request.query_params.multi_items():
        if (found := METADATA.fullmatch(name)) is None:
            continue
        try:
            pairs[_KEY.validate_python(found[1])] = _VALUE.validate_python(value)
        except ValidationError:
            problems.append(
                (
                    ("query", name),
                    "a key has 1 to 64, a value up to 512 characters, and no control characters",
                )
            )
    if len(pairs) > _MOST_PAIRS:
        problems.append((("query", "metadata"), f"at most {_MOST_PAIRS} pairs"))
    if problems:
        raise invalid(problems[:20])
    return pairs


MetadataFilter = Annotated[dict[str, str], Depends(metadata_filter)]


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name[:100], known, n=1)
    advice = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}" if known else "it takes none"
    return f"unknown parameter {name!r}; {advice}"
