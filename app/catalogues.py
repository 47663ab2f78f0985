"""Catalogues: what there is to search in, and on."""

from fastapi import APIRouter, Response

from app import schemas
from app.answers import answer
from app.openapi import responses
from app.service import ServiceDep
from datasets import listing
from datasets.catalogue import Listed
from spec import EXAMPLE, SUPERSTRUCTURES

router = APIRouter(tags=["catalogues"])


@router.get(
    "/superstructures",
    operation_id="list_superstructures",
    summary="List the kinds of networks to search in",
    responses=responses({200: {"model": schemas.List[schemas.Superstructure]}}, 422),
)
async def list_superstructures() -> Response:
    """List every superstructure with the JSON Schema of its settings and an example."""
    found = [
        schemas.Superstructure(
            kind=kind,
            description=(model.__doc__ or "").strip(),
            json_schema=model.model_json_schema(),
            example=_EXAMPLES[kind],
        )
        for kind, model in SUPERSTRUCTURES.items()
    ]
    return answer(schemas.listed(found, list(SUPERSTRUCTURES)))


@router.get(
    "/datasets",
    operation_id="list_datasets",
    summary="List the data sets that a search may name",
    responses=responses({200: {"model": schemas.List[schemas.DataSet]}}, 422),
)
def list_datasets(service: ServiceDep) -> Response:
    """List every known data set, and say of those that are not here why, and how to get them."""
    found = [_shown(listed) for listed in listing(service.settings.store.data)]
    return answer(schemas.listed(found, [data.name for data in found]))


_EXAMPLES = {"mlp": EXAMPLE["superstructure"]}


def _shown(listed: Listed) -> schemas.DataSet:
    known = listed.description
    return schemas.DataSet(
        name=listed.name,
        available=listed.available,
        reason=listed.reason,
        kind=known and known.kind,
        shape=known and list(known.shape),
        classes=known and known.classes,
        targets=known and known.targets,
        count=known and known.count,
        splits=known and dict(known.splits),
        source=known and known.source,
    )
