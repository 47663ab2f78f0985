"""What would a search amount to on this server? And may it be run at all?"""

import math
import statistics
from typing import Any

from sqlalchemy import Connection

from app import drawing, schemas
from app.problems import Refusal, invalid
from app.service import Service
from datasets import DataError, Description, describe
from spec import Pairs, Plan, SearchSpec, Sizes, SpecError, macs, plan
from store import datasets, searches
from store.database import read
from store.errors import NotFound

_FLOPS = 5e10  # a second, of two CPU cores
_FLOPS_OF_A_MAC = 6  # forward, and backward to weights and inputs; a multiplication and an addition each
COMPARISON = 2  # whole trainings of the small network at most; a control is one more
_FOUND = 0.25  # of the superstructure; what is fine-tuned is smaller, how much is what the search will tell
_STEP_S = 0.002  # of Python and the optimiser, whatever the size


def planned(spec: SearchSpec, service: Service, tenant: str) -> Plan:
    """The plan of a search; refuses what cannot be run here, and names the field."""
    return _planned(spec, service, _described(spec, service, tenant))


def estimate(spec: SearchSpec, service: Service, tenant: str) -> schemas.Estimate:
    """The estimate of a search; refuses as `planned` does."""
    data = _described(spec, service, tenant)
    found = _planned(spec, service, data)
    epochs = schemas.EstimatedEpochs(
        search=spec.budget.epochs,
        finetune=spec.finetune.epochs,
        compare=(COMPARISON + ("control" in spec.rivals)) * spec.full_epochs if spec.rivals else 0,
        seeds=len(spec.all_seeds),
    )
    return schemas.Estimate(
        parameters=found.parameters,
        possible={measure: schemas.Possible(smallest=a, largest=b) for measure, (a, b) in found.possible.items()},
        target=None if spec.target is None else spec.target.limit(found.graph),
        macs=found.macs,
        memory_bytes=found.memory_bytes,
        memory_limit_bytes=service.settings.memory_limit,
        epochs=epochs,
        inputs=drawing.inputs(found.graph),
        layers=drawing.drawn(found.graph),
        seconds_guess=_seconds(spec, found, epochs, data.splits["train"]),
    )


def _seconds(spec: SearchSpec, plan: Plan, epochs: schemas.EstimatedEpochs, samples: int) -> float:
    forward: float = plan.macs
    if plan.crops is not None:
        samples *= plan.crops.per_image
        forward *= plan.crops.side**2 / math.prod(plan.graph.input_shape[1:])
    arithmetic = samples * _FLOPS_OF_A_MAC * forward / _FLOPS
    overhead = math.ceil(samples / spec.budget.batch_size) * _STEP_S
    share = _FOUND
    if spec.target is not None:
        share = spec.target.limit(plan.graph) / plan.possible[spec.target.measure][1]
    if plan.rivals:  # of convolutions: equal parameters are not equal arithmetic
        share = statistics.mean(map(macs, plan.rivals)) / plan.macs
    small = (1.3 * epochs.finetune + epochs.compare) * (share * arithmetic + overhead)
    return round(epochs.seeds * (epochs.search * (arithmetic + overhead) + small), 1)


def hold_data(tx: Connection, spec: SearchSpec, tenant: str) -> None:
    """Keep an uploaded set from being deleted while the search that names it is written."""
    if datasets.is_dataset_id(spec.data):
        try:
            datasets.hold(tx, spec.data, tenant=tenant)
        except NotFound as error:
            raise _unknown(spec.data) from error


def check_start(tx: Connection, spec: SearchSpec, tenant: str) -> None:
    """Refuse to begin where there is nothing to begin with, or where it does not fit."""
    if spec.start is None:
        return
    name = f"path-{spec.start.k}.safetensors"
    try:
        source = searches.get(tx, spec.start.search, tenant=tenant)
        searches.artifact(tx, spec.start.search, name, tenant=tenant)
    except NotFound as error:
        where = f"GET /v1/searches/{spec.start.search}/path"
        raise invalid([(("start",), f"there is no architecture {spec.start.k} of that search; see {where}")]) from error
    begun = SearchSpec.model_validate(source.spec)
    for field in ("superstructure", "task", "data"):
        if getattr(begun, field) != getattr(spec, field):
            raise invalid([((field,), f"must be that of {spec.start.search}, where this search begins")])


def _described(spec: SearchSpec, service: Service, tenant: str) -> Description:
    if datasets.is_dataset_id(spec.data):
        return _uploaded(spec.data, service, tenant)
    try:
        return describe(spec.data, service.settings.store.data)
    except DataError as error:
        raise invalid([(("data",), str(error))]) from error


def _uploaded(dataset_id: str, service: Service, tenant: str) -> Description:
    try:
        with read(service.engine) as tx:
            row = datasets.get(tx, dataset_id, tenant=tenant)
    except NotFound as error:
        raise _unknown(dataset_id) from error
    said = row.description
    return Description(
        name=row.name,
        kind=said["kind"],
        shape=tuple(said["shape"]),
        classes=said["classes"],
        targets=said["targets"],
        count=said["count"],
        splits=said["splits"],
        value_range=(0.0, 1.0) if said["kind"] == "image" else None,
        source="uploaded",
        sizes=_sizes(said.get("sizes")),
        pairs=_pairs(said.get("pairs")),
    )


def _sizes(said: dict[str, Any] | None) -> Sizes | None:
    if said is None:
        return None
    return Sizes(tuple(said["smallest"]), tuple(said["largest"]), said["in_training"])


def _pairs(said: dict[str, Any] | None) -> Pairs | None:
    # Pairs that an older version checked are not read again: they say no channels.
    return None if said is None or "channels" not in said else Pairs(**said)


def _unknown(dataset_id: str) -> Refusal:
    return invalid([(("data",), f"there is no data set {dataset_id}; upload one, or see GET /v1/datasets")])


def _planned(spec: SearchSpec, service: Service, data: Description) -> Plan:
    try:
        return plan(spec, data.as_planned(), service.settings.memory_limit)
    except SpecError as error:
        raise invalid([(error.loc, error.message)]) from error
