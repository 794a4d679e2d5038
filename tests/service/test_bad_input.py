"""Bad input: each its own problem document, and nothing recorded."""

import orjson
import pytest
from starlette.testclient import TestClient

from service.api.schemas import ProblemDocument
from service.auth import Role
from service.wiring import Platform
from tests.models import examples
from tests.service.conftest import Headers

PATH = "/v1/decisions/parcel"
BODIES = [
    (b"", 400, "malformed-json", None),
    (b"{", 400, "malformed-json", None),
    (b'{"stock": NaN}', 400, "malformed-json", None),
    (b'{"stock": Infinity}', 400, "malformed-json", None),
    (b"\xff\xfe", 400, "malformed-json", None),
    (b"[" * 100_000, 400, "malformed-json", None),
    (b"[]", 422, "order-invalid", ""),
    (b"null", 422, "order-invalid", ""),
    (examples.order(stock="4"), 422, "order-invalid", "/stock"),
    (examples.order(stock=1001), 422, "order-invalid", "/stock"),
    (examples.order(order_id=7), 422, "order-invalid", "/order_id"),
    (examples.order(placed_at="yesterday"), 422, "order-invalid", "/placed_at"),
    (examples.order(lines=[{"quantity": 1}] * 5000), 422, "order-invalid", "/lines"),
    (examples.order(lines=[{"quantity": "x"}]), 422, "order-invalid", "/lines/0/quantity"),
    (examples.order(channel="ebay"), 422, "order-invalid", "/channel"),
    (b'{"order_id": "x", "pad": "' + b"x" * 10_000_000 + b'"}', 413, "body-too-large", None),
]


@pytest.mark.parametrize(("body", "status", "code", "pointer"), BODIES, ids=range(len(BODIES)))
def test_a_bad_body_gets_its_own_problem_and_no_record(
    *,
    client: TestClient,
    served: Platform,
    headers: Headers,
    body: bytes,
    status: int,
    code: str,
    pointer: str | None,
) -> None:
    with served.store.reading() as reading:
        before = reading.tree_size()
    answer = client.post(PATH, content=body, headers=headers(Content_Type="application/json"))
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = ProblemDocument.model_validate(answer.json())
    assert (answer.status_code, problem.status, problem.code) == (status, status, code)
    assert problem.instance == PATH
    if pointer is not None:
        assert pointer in [fault.pointer for fault in problem.errors or []]
    with served.store.reading() as reading:
        assert reading.tree_size() == before


def test_a_long_body_without_a_length_is_cut_off(client: TestClient, headers: Headers) -> None:
    chunks = (b"x" * 65_536 for _ in range(1_000))
    answer = client.post(PATH, content=chunks, headers=headers(Content_Type="application/json"))
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("method", "path", "role", "status", "code"),
    [
        ("POST", "/v1/decisions/nonsense", Role.OMS, 404, "kind-not-found"),
        ("POST", "/v1/decisions/nonsense/batch", Role.OMS, 404, "kind-not-found"),
        ("GET", "/v1/kinds/nonsense", Role.OMS, 404, "kind-not-found"),
        ("POST", "/v1/decisions/admission", Role.OMS, 503, "no-live-model"),
        ("POST", PATH, Role.AUDITOR, 403, "permission-denied"),
        ("POST", PATH, None, 401, "unauthenticated"),
        ("GET", "/v1/decisions", Role.OMS, 403, "permission-denied"),
        ("GET", "/v1/decisions/none", Role.OMS, 404, "decision-not-found"),
        ("GET", "/v1/decisions/none/proof", Role.OMS, 404, "decision-not-found"),
        ("GET", "/v1/decisions/none/leaf", Role.OMS, 404, "decision-not-found"),
        ("GET", "/v1/decisions/none/facts", Role.AUDITOR, 404, "decision-not-found"),
        ("GET", "/v1/decisions/none/facts", Role.OMS, 403, "permission-denied"),
        ("POST", "/v1/decisions/none/replay", Role.AUDITOR, 404, "decision-not-found"),
        ("PUT", PATH, Role.OMS, 405, "method-not-allowed"),
        ("DELETE", "/v1/kinds", Role.OMS, 405, "method-not-allowed"),
        ("GET", "/v1/nothing", Role.OMS, 404, "not-found"),
        ("GET", "/v1/kinds/", Role.OMS, 404, "not-found"),
        ("GET", "/v1/log/tile/9/000", None, 404, "record-not-found"),
        ("GET", "/v1/log/tile/x", None, 404, "record-not-found"),
        ("GET", "/v1/log/consistency", None, 422, "request-invalid"),
        ("GET", "/v1/log/consistency?from=5&to=2", None, 404, "record-not-found"),
        ("GET", "/v1/decisions?limit=0", Role.AUDITOR, 422, "request-invalid"),
        ("GET", "/v1/decisions?limit=999", Role.AUDITOR, 422, "request-invalid"),
        ("GET", "/v1/decisions?from=never", Role.AUDITOR, 422, "request-invalid"),
        ("GET", "/v1/decisions?from=0001-01-01T00:00:00%2B14:00", Role.AUDITOR, 422, None),
        ("GET", "/v1/decisions?cursor=x", Role.AUDITOR, 422, "search-invalid"),
        ("GET", f"/v1/decisions?cursor={2**63}", Role.AUDITOR, 422, "search-invalid"),
        ("GET", "/v1/decisions?review=maybe", Role.AUDITOR, 422, "request-invalid"),
    ],
)
def test_a_request_that_cannot_be_served_says_why(
    *,
    client: TestClient,
    headers: Headers,
    method: str,
    path: str,
    role: Role | None,
    status: int,
    code: str | None,
) -> None:
    given = {} if role is None else headers(role)
    answer = client.request(method, path, headers=given)
    problem = ProblemDocument.model_validate(answer.json())
    assert answer.status_code == status
    assert code in (None, problem.code)
    assert ("Allow" in answer.headers) == (status == 405)
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_an_unknown_key_is_no_key(client: TestClient) -> None:
    answer = client.post(PATH, headers={"Authorization": "Bearer candor_unknown"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "a/b"])
def test_another_media_type_is_refused(
    client: TestClient, headers: Headers, media_type: str
) -> None:
    for path in (PATH, f"{PATH}/batch"):
        answer = client.post(path, content=b"{}", headers=headers(Content_Type=media_type))
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("path", "role", "form", "pointer"),
    [
        ("override", Role.OPERATOR, {}, "/outcome"),
        ("override", Role.OPERATOR, {"outcome": "maybe", "reason_code": "X"}, "/outcome"),
        ("override", Role.OPERATOR, {"outcome": "accept", "reason_code": "a b"}, "/reason_code"),
        ("override", Role.OPERATOR, [], ""),
        ("outcome", Role.OMS, {"label": "late", "observed_at": "2026-01-01"}, "/observed_at"),
        ("outcome", Role.OMS, {"label": "late", "other": 1}, "/other"),
    ],
)
def test_a_malformed_amendment_is_refused(
    *,
    client: TestClient,
    headers: Headers,
    path: str,
    role: Role,
    form: object,
    pointer: str,
) -> None:
    given = headers(Content_Type="application/json")
    decided = client.post(PATH, content=examples.order(), headers=given).json()
    where = f"/v1/decisions/{decided['decision_id']}/{path}"
    json = headers(role, Content_Type="application/json")
    answer = client.post(where, content=orjson.dumps(form), headers=json)
    assert answer.status_code == 422
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]
    broken = client.post(where, content=b"{", headers=json)
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed-json")
