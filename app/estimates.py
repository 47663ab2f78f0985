"""What would a search amount to on this server? And may it be run at all?"""

import math

from sqlalchemy import Connection

from app import schemas
from app.problems import Refusal, invalid
from app.service import Service
from datasets import DataError, Description, describe
from spec import DataShape, Plan, SearchSpec, SpecError, plan
from store import datasets
from store.database import read
from store.errors import NotFound

_FLOPS = 5e10  # a second, of two CPU cores
_FLOPS_OF_A_MAC = 6  # forward, and backward to weights and inputs; a multiplication and an addition each
_FOUND = 0.25  # of the superstructure; what is fine-tuned is smaller, how much is what the search will tell
_STEP_S = 0.002  # of Python and the optimiser, whatever the size
_FLOAT = 4  # bytes


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
        scratch=spec.scratch_epochs,
        total=spec.total_epochs,
    )
    return schemas.Estimate(
        parameters=found.parameters,
        smallest=found.smallest,
        macs=found.macs,
        memory_bytes=found.memory_bytes,
        memory_limit_bytes=service.settings.memory_limit,
        epochs=epochs,
        layers=[
            schemas.EstimatedLayer(name=node.name, width=node.width, searched=node.searched)
            for node in found.graph.layers()
        ],
        seconds_guess=_seconds(epochs, data.splits["train"], spec.budget.batch_size, found.macs),
    )


def _seconds(epochs: schemas.EstimatedEpochs, samples: int, batch: int, macs: int) -> float:
    arithmetic = samples * _FLOPS_OF_A_MAC * macs / _FLOPS
    overhead = math.ceil(samples / batch) * _STEP_S
    trained_on = epochs.finetune + epochs.scratch
    return round(epochs.search * (arithmetic + overhead) + trained_on * (_FOUND * arithmetic + overhead), 1)


def hold_data(tx: Connection, spec: SearchSpec, tenant: str) -> None:
    """Keep an uploaded set from being deleted while the search that names it is written."""
    if datasets.is_dataset_id(spec.data):
        try:
            datasets.hold(tx, spec.data, tenant=tenant)
        except NotFound as error:
            raise _unknown(spec.data) from error


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
    )


def _unknown(dataset_id: str) -> Refusal:
    return invalid([(("data",), f"there is no data set {dataset_id}; upload one, or see GET /v1/datasets")])


def _planned(spec: SearchSpec, service: Service, data: Description) -> Plan:
    shape = DataShape(
        kind=data.kind,
        shape=data.shape,
        classes=data.classes,
        targets=data.targets,
        count=data.splits["train"],
        bytes=_FLOAT * data.count * math.prod(data.shape),
    )
    try:
        return plan(spec, shape, service.settings.memory_limit)
    except SpecError as error:
        raise invalid([(error.loc, error.message)]) from error
