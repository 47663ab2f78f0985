"""What does the OpenAPI file say that the framework would not say by itself?

Bodies that are read by hand, and that every error is a problem document.
"""

from collections.abc import Mapping
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


def complete(app: FastAPI) -> None:
    """Add the schemas that the operations refer to."""
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
        return document

    app.openapi = completed  # type: ignore[method-assign]


def _spec_schemas() -> dict[str, Any]:
    schema = SearchSpec.model_json_schema(ref_template=_REF)
    parts: dict[str, Any] = schema.pop("$defs", {})
    return {**parts, "SearchSpec": {**schema, "examples": [EXAMPLE]}}
