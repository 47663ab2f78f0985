"""How does a document become an answer? Serialised once, in the thread that made it."""

from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel


def answer(document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; the framework's way would validate the document a second time."""
    return Response(document.model_dump_json(), status, headers, media_type="application/json")
