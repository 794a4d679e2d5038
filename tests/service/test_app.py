"""The application as a whole: what it imports, what surrounds every answer."""

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.auth import Role
from service.settings import Settings
from service.wiring import Platform
from tests.models import examples
from tests.service.conftest import Headers

ROOT = Path(__file__).parents[2]
TRAINERS = ("mlflow", "shap", "pandas", "sklearn", "lightgbm")


def test_nothing_that_trains_is_in_the_serving_process() -> None:
    """The application starts, decides and stops without what only training needs."""
    program = (
        "import sys; import service.app, service.cli.application, service.usecases.decide\n"
        f"print([name for name in {TRAINERS} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_a_request_id_from_outside_is_kept(client: TestClient) -> None:
    answer = client.get("/health/live", headers={"X-Request-Id": "oms-7.a:b_c"})
    assert answer.headers["X-Request-Id"] == "oms-7.a:b_c"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é", "<script>"])
def test_an_unfit_request_id_is_replaced(client: TestClient, given: str) -> None:
    answer = client.get("/health/live", headers={b"X-Request-Id": given.encode()})
    assert len(answer.headers["X-Request-Id"]) == 32


def test_a_trace_is_continued(client: TestClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = client.get("/health/live", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    version, trace_id, _parent, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", trace, "01")


def test_a_malformed_trace_is_replaced(client: TestClient) -> None:
    answer = client.get("/health/live", headers={"traceparent": f"00-{'0' * 32}-{'1' * 16}-01"})
    assert answer.headers["traceparent"].split("-")[1] != "0" * 32


def test_every_answer_carries_security_headers(client: TestClient) -> None:
    for path in ("/health/live", "/nothing", "/v1/kinds"):
        answer = client.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_unforeseen_is_answered_without_internals(
    capsys: pytest.CaptureFixture[str],
    client: TestClient,
    served: Platform,
    headers: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_kind: str) -> None:
        raise ZeroDivisionError("secret order 4711")

    monkeypatch.setattr(served.live, "get", fail)
    answer = client.post("/v1/decisions/parcel", json={}, headers=headers())
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal-error"
    line = capsys.readouterr().err
    assert "4711" not in answer.text + line
    assert "ZeroDivisionError" in line
    assert answer.headers["X-Request-Id"] in line


def test_log_lines_hold_nothing_personal(
    settings: Settings,
    keys: dict[Role, str],
    headers: Headers,
    capsys: pytest.CaptureFixture[str],
) -> None:
    verbose = settings.model_copy(update={"log_level": "debug"})
    body = examples.order(order_id="ORDER-4711", customer={"customer_id": "CUST-4712"})
    with TestClient(create_app(verbose)) as client:
        given = headers(Content_Type="application/json")
        decided = client.post("/v1/decisions/parcel", content=body, headers=given).json()
        client.get(
            "/v1/decisions", params={"order_id": "ORDER-4711"}, headers=headers(Role.AUDITOR)
        )
    lines = capsys.readouterr().err
    assert '"route": "/v1/decisions/{kind}"' in lines
    for hidden in ("4711", "4712", decided["decision_id"], keys[Role.OMS]):
        assert hidden not in lines


def test_metrics_count_what_happened(client: TestClient, headers: Headers) -> None:
    given = headers(Content_Type="application/json", Idempotency_Key="once")
    for _ in range(2):
        client.post("/v1/decisions/parcel", content=examples.order(), headers=given)
    text = client.get("/metrics").text
    assert 'candor_decisions_total{kind="parcel",outcome="review"} 1.0' in text
    assert "candor_queue_entries 0.0" in text
    assert "candor_commit_batch_entries_count" in text
    route = (
        'candor_http_requests_total{method="POST",route="/v1/decisions/{kind}",status="200"} 2.0'
    )
    assert route in text


def test_the_openapi_pages_can_be_switched_off(settings: Settings) -> None:
    closed = settings.model_copy(update={"openapi_enabled": False})
    with TestClient(create_app(closed)) as client:
        assert client.get("/openapi.json").status_code == 404
        assert client.get("/docs").status_code == 404
    with TestClient(create_app(settings)) as client:
        assert client.get("/docs").status_code == 200
        assert client.get("/openapi.json").json() == client.get("/openapi.json").json()
