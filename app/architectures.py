"""Architectures: what was found, over all searches."""

import base64
import json
import math
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from app import schemas
from app.answers import answer
from app.auth import TenantDep
from app.openapi import responses
from app.problems import invalid
from app.service import ServiceDep
from store import architectures
from store.architectures import Place, Sort
from store.database import read
from store.shapes import Kind

router = APIRouter(tags=["architectures"])

_LARGEST = 2**63 - 1
_TEXT = r"^[^\x00-\x1f\x7f]*$"

Text = Annotated[str | None, Query(max_length=200, pattern=_TEXT)]
Count = Annotated[int | None, Query(ge=0, le=_LARGEST)]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
After = Annotated[
    str | None,
    Query(pattern=r"^[A-Za-z0-9_-]{1,200}$", description="Where to go on: `last_id`, with the same `sort`."),
]


class Architecture(BaseModel):
    """A candidate of a search that has succeeded."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "object": "architecture",
                    "search_id": schemas.EXAMPLE_ID,
                    "candidate": "found",
                    "superstructure": "mlp",
                    "task": "denoise",
                    "data": "mnist",
                    "widths": [212, 61, 40, 66, 230],
                    "parameters": 371_204,
                    "macs": 370_000,
                    "loss": 0.0131,
                    "metrics": {"psnr": 18.8},
                    "shape": "bottleneck",
                    "waist": 2,
                    "waist_depth": 0.811,
                    "waist_ratio": 0.189,
                    "won": True,
                    "created_at": "2026-11-24T10:15:30.250000Z",
                }
            ]
        },
    )

    object: Literal["architecture"] = "architecture"
    search_id: str
    candidate: str
    superstructure: str
    task: str
    data: str
    widths: list[int]
    """Of the searched layers, in order."""
    parameters: int
    macs: int
    loss: float
    """On the validation split."""
    metrics: dict[str, Any]
    shape: Kind
    """`bottleneck`: never growing, then never shrinking, with a minimum below both ends; `bulge`: upside down."""
    waist: int | None
    """The layer of the minimum of a bottleneck, counted from 0."""
    waist_depth: float | None
    """1 - `waist_ratio`."""
    waist_ratio: float | None
    """The minimum's width over the smaller of both ends."""
    won: bool
    """Whether it is what the search delivers."""
    created_at: datetime


@router.get(
    "/architectures",
    operation_id="list_architectures",
    summary="List the architectures that searches have found",
    responses=responses({200: {"model": schemas.List[Architecture]}}, 422, 503),
)
def list_architectures(
    service: ServiceDep,
    tenant: TenantDep,
    task: Text = None,
    data: Text = None,
    superstructure: Text = None,
    candidate: Text = None,
    shape: Kind | None = None,
    min_parameters: Count = None,
    max_parameters: Count = None,
    max_loss: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    won: bool | None = None,
    sort: Annotated[Sort, Query(description="A minus sorts downwards.")] = "-created_at",
    limit: Limit = 20,
    after: After = None,
) -> Response:
    """List the architectures that pass every filter given."""
    place = None if after is None else _read(after, sort)
    with read(service.engine) as tx:
        page = architectures.list_page(
            tx,
            tenant=tenant,
            sort=sort,
            limit=limit,
            after=place,
            min_parameters=min_parameters,
            max_parameters=max_parameters,
            max_loss=max_loss,
            task=task,
            data=data,
            superstructure=superstructure,
            shape=shape,
            name=candidate,
            won=won,
        )
    found = [_document(row) for row in page.items]
    return answer(schemas.listed(found, [_cursor(sort, row.place) for row in page.items], has_more=page.has_more))


def _document(row: architectures.Architecture) -> Architecture:
    return Architecture.model_validate(
        {
            **{name: getattr(row, name) for name in Architecture.model_fields if hasattr(row, name)},
            "candidate": row.name,
            "waist_depth": None if row.waist_ratio is None else 1 - row.waist_ratio,
            "created_at": schemas.moment(row.created_at),
        }
    )


def _cursor(sort: str, place: Place) -> str:
    content = json.dumps([sort, place.value, place.search, place.position], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _read(cursor: str, sort: Sort) -> Place:
    try:
        given = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        of, value, search, position = given
        is_whole = type(search) is int and type(position) is int and abs(search) <= _LARGEST and abs(position) < 2**31
        is_value = type(value) in (int, float) and math.isfinite(value) and abs(value) <= 2**62
        if of != sort or not (is_whole and is_value):
            raise ValueError
        if sort.endswith("parameters") and type(value) is not int:
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError):
        wrong = "is no `last_id` of this list with this `sort`; begin again without it"
        raise invalid([(("query", "after"), wrong)]) from None
    return Place(value, search, position)
