"""Schemathesis over the OpenAPI document: no request makes the service fail."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error

from service.app import create_app
from service.auth import Role
from service.settings import Settings
from service.usecases.chain import CHAIN
from service.usecases.keys import create_key
from service.wiring import open_platform
from tests.conftest import publish_small_model
from tests.journeys.service_process import HOST, Service, serving
from tests.journeys.small_models import publish_built_in
from tests.models import examples

DOCUMENT = create_app(Settings(log_level="error")).openapi()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
_EXAMPLES = 15


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]  # library
def _ndjson(_context: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


class Target:
    """A running service, a key for each role, and a decision to ask about."""

    def __init__(self, service: Service, keys: dict[Role, str]) -> None:
        self.base_url = f"http://{HOST}:{service.port}"
        self.keys = keys
        status, body = service.call(
            "POST",
            "/v1/decisions/parcel",
            examples.order(),
            headers={"Authorization": f"Bearer {keys[Role.OMS]}"},
        )
        assert status == 200
        self.known = {"kind": "parcel", "decision_id": orjson.loads(body)["decision_id"]}

    def key_for(self, path: str, method: str) -> str:
        """Return the key of a role that may make this call."""
        if path.endswith("/override"):
            return self.keys[Role.OPERATOR]
        if path == "/v1/references" and method == "post":
            return self.keys[Role.ADMIN]
        if path.startswith("/v1/subjects"):
            return self.keys[Role.ADMIN]
        if path == "/v1/events" or (method == "post" and not path.endswith("/replay")):
            return self.keys[Role.OMS]
        return self.keys[Role.AUDITOR]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    var = tmp_path_factory.mktemp("openapi") / "var"
    with open_platform(Settings(var=var)) as platform:
        publish_small_model(platform)
        for kind in CHAIN:
            publish_built_in(platform, kind)
        keys = {role: create_key(platform, role, role, "test")[1] for role in Role}
    with serving(var) as service:
        yield Target(service, keys)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_makes_the_service_fail(target: Target, path: str, method: str) -> None:
    """Whatever fits the document, and much that does not, is answered without a 5xx."""
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]
    key = target.key_for(path, method)

    @hypothesis_settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:  # noqa: ANN401 - the library's case
        for name in case.path_parameters:
            # What was drawn names nothing; a known id leads further in.
            case.path_parameters[name] = target.known.get(name, case.path_parameters[name])
        response = case.call(
            base_url=target.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30
        )
        case.validate_response(response, checks=[not_a_server_error])

    ask()
