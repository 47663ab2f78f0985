"""What does the OpenAPI file say that the framework would not say by itself?

Bodies that are read by hand, and that every error is a problem document.
"""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from app import problems
from spec import EXAMPLE, SearchSpec

Responses = dict[int | str, dict[str, Any]]

_REF = "#/components/schemas/{model}"


def responses(successes: Mapping[int, Mapping[str, Any]], *errors: int) -> Responses:
    """What an operation can answer with: its successes, and the statuses of its problems."""
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    found: Responses = {status: dict(described) for status, described in successes.items()}
    for status in errors:
        found[status] = {"description": HTTPStatus(status).phrase, "content": content}
    return found


def complete(app: FastAPI, *, open_paths: Collection[str], require_key: bool) -> None:
    """Add the schemas that the operations refer to, and what stands before all of them but `open_paths`."""
    generate = app.openapi

    def completed() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document: dict[str, Any] = generate()
        if is_new:
            problem = problems.Problem.model_json_schema(ref_template=_REF)
            parts = problem.pop("$defs")
            spec = _spec_schemas()
            known = document["components"]["schemas"]
            known |= {**spec, **parts, "Problem": problem}
            # In the type it is a plain object: it is not validated again, a later version may be stricter.
            shown = known["Search"]["properties"]["spec"]
            known["Search"]["properties"]["spec"] = {
                "$ref": _REF.format(model="SearchSpec"),
                "description": shown["description"],
            }
            _add_keys(document, open_paths, require_key)
        return document

    app.openapi = completed  # type: ignore[method-assign]


def _add_keys(document: dict[str, Any], open_paths: Collection[str], require_key: bool) -> None:
    """Say where a key is asked for, and what a request is turned away with."""
    scheme = {"type": "http", "scheme": "bearer", "description": "A key, `bgk_…`, made with `bregnas keys make NAME`."}
    document["components"]["securitySchemes"] = {"key": scheme}
    document["security"] = [{"key": []}] if require_key else [{}, {"key": []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in open_paths:
                operation["security"] = []
                continue
            turned_away = (401, 421) if method in ("get", "head") else (401, 403, 421)
            found = responses({}, *turned_away)
            operation["responses"] |= {str(status): found[status] for status in turned_away}


def _spec_schemas() -> dict[str, Any]:
    schema = SearchSpec.model_json_schema(ref_template=_REF)
    parts: dict[str, Any] = schema.pop("$defs", {})
    overrides = {name: part for name, part in schema.items() if name not in ("required", "title", "description")}
    return {
        **parts,
        "SearchSpec": {**schema, "examples": [EXAMPLE]},
        "SearchOverrides": {
            **overrides,
            "title": "SearchOverrides",
            "description": "Fields of a search that take the place of another's; all may be left out.",
            "examples": [{"seed": 2}],
        },
    }
