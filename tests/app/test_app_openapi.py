"""What the OpenAPI file promises, and that the service keeps it under generated requests, valid and not."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from app.main import create_app
from app.problems import MEDIA_TYPE
from app.service import Service
from app.settings import Settings
from spec import EXAMPLE, SearchSpec
from store import searches
from store.attempts import Attempt, NewArtifact
from store.database import write
from store.settings import Settings as StoreSettings

EXAMPLES = 25  # of each operation, and once more as many wrong ones
_WITHOUT_INPUT = {"GET /healthz", "GET /readyz", "GET /metrics", "GET /v1/superstructures"}


@pytest.mark.anyio
async def test_the_file_names_every_operation_and_its_problems(client):
    document = (await client.get("/openapi.json")).json()

    operations = {
        operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()
    }
    assert set(operations) == {
        "create_search",
        "estimate_search",
        "list_searches",
        "get_search",
        "get_search_layers",
        "get_search_graph",
        "list_search_events",
        "cancel_search",
        "pause_search",
        "resume_search",
        "clone_search",
        "delete_search",
        "get_search_path",
        "train_path_architecture",
        "download_model",
        "list_artifacts",
        "download_artifact",
        "list_superstructures",
        "create_dataset",
        "list_datasets",
        "get_dataset",
        "delete_dataset",
        "list_architectures",
        "healthz",
        "metrics",
        "readyz",
    }
    for operation in operations.values():
        assert operation["summary"]
        assert operation["description"]
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == [MEDIA_TYPE]
        assert "422" in operation["responses"]
    posted = operations["create_search"]["requestBody"]["content"]["application/json"]["schema"]
    schemas = document["components"]["schemas"]
    assert posted == {"$ref": "#/components/schemas/SearchSpec"}
    assert schemas["SearchSpec"]["examples"] == [EXAMPLE]
    assert schemas["Search"]["properties"]["spec"]["$ref"] == posted["$ref"]
    assert schemas["Problem"]["examples"]
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory, databases):
    """The whole service; nothing else uses it."""
    home = tmp_path_factory.mktemp("fuzzed")
    with databases.fresh() as url:
        store = StoreSettings(home, None, url, str(home / "artifacts"))
        service = Service.open(Settings(store, hosts=("testserver",)))  # the name that schemathesis gives
        yield service
        service.close()


@pytest.fixture(scope="module")
def api(fuzzed):
    """Its description, with every check that schemathesis has."""
    # A valid document may still name data that is not here, or need more memory than there is: no JSON Schema says
    # so, hence 422. What has ended cannot be cancelled, what has not has no model: 409. A range may be outside: 416.
    accepted = ["2xx", 304, 404, 409, 416, 422]
    config = SchemathesisConfig.from_dict({"checks": {"positive_data_acceptance": {"expected-statuses": accepted}}})
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(fuzzed), config=config)


@pytest.fixture(scope="module")
def succeeded(fuzzed):
    """The id of a search that has published a model."""
    with write(fuzzed.engine) as tx:
        layers = [searches.Layer("hidden1", 8), searches.Layer("head", 64, searched=False)]
        known = {"superstructure": "mlp", "task": "denoise", "data": "digits", "seed": 0, "queue": "cpu"}
        spec = SearchSpec.model_validate_json(json.dumps(EXAMPLE)).model_dump(mode="json")
        made = searches.create(tx, name=None, spec=spec, metadata={}, layers=layers, **known)
    attempt = Attempt(fuzzed.engine, made.id, 1)
    attempt.start("wrkr_test")
    attempt.running()
    attempt.record_epoch(stage="search", epoch=1, active=[3, 64], train_loss=0.5, metrics={"psnr": 12.0})
    bundle = NewArtifact("net.zip", fuzzed.artifacts.put(made.id, 1, bytes(1000)), "application/zip")
    attempt.publish({"winner": "found", "candidates": []}, [bundle], bundle="net.zip")
    return made.id


def generated(operation, mode=GenerationMode.POSITIVE, **fixed):
    """Try an operation under generated requests; the statuses met."""
    met = set()

    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode, **fixed))
    def keeps_its_promises(case):
        met.add(case.call_and_validate().status_code)

    keeps_its_promises()
    return met


def test_every_operation_keeps_its_promises(api):
    for found in api.get_all_operations():
        assert generated(found.ok()) <= {200, 202, 404, 422}


def test_wrong_requests_are_refused_as_promised(api):
    for found in api.get_all_operations():
        if found.ok().label not in _WITHOUT_INPUT:
            assert generated(found.ok(), GenerationMode.NEGATIVE) <= {400, 404, 422}


def test_every_operation_keeps_its_promises_for_a_search_that_succeeded(api, succeeded):
    for path, expected in {
        "/v1/searches/{id}": {200},
        "/v1/searches/{id}/layers": {200},
        "/v1/searches/{id}/events": {200, 422},
        "/v1/searches/{id}/artifacts": {200},
        "/v1/searches/{id}/model": {200, 206, 404, 416},  # another candidate is not there
    }.items():
        met = generated(api[path]["GET"], path_parameters={"id": succeeded})
        assert 200 in met
        assert met <= expected
    name = {"id": succeeded, "name": "net.zip"}
    assert 200 in generated(api["/v1/searches/{id}/artifacts/{name}"]["GET"], path_parameters=name)
    assert generated(api["/v1/searches/{id}/cancel"]["POST"], path_parameters={"id": succeeded}) == {409}
    for path in ("/v1/searches", "/v1/searches/estimate"):
        # A key of its own: one drawn before, for another body, would be refused.
        named = {"Idempotency-Key": "the-example"}
        assert generated(api[path]["POST"], body={**EXAMPLE, "data": "digits"}, headers=named) <= {200, 202}
    assert 204 in generated(api["/v1/searches/{id}"]["DELETE"], path_parameters={"id": succeeded})
