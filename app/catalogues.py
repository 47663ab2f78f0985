"""The catalogue: what there is to search in."""

from fastapi import APIRouter, Response

from app import schemas
from app.answers import answer
from app.openapi import responses
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


_EXAMPLES = {
    "mlp": EXAMPLE["superstructure"],
    "unet": {"kind": "unet", "levels": 3, "base": 32, "residual": True},
    "convnet": {"kind": "convnet", "channels": [64, 64], "kernel": 5, "hidden": [128]},
}
