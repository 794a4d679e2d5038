"""Deciding over HTTP: recorded before answered, the same on a retry, each fault its own problem."""

import threading
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import orjson
import pytest
from starlette.testclient import TestClient

from audit.receipt import verify_receipt
from audit.verify import verify_store
from models.scorer import Scorer
from service.api import schemas
from service.auth import Role
from service.settings import Settings
from service.wiring import Platform
from tests.models import examples
from tests.service.conftest import Headers

pytestmark = pytest.mark.both_databases

DECIDE = "/v1/decisions/parcel"
RETURNING = {"recent_orders": [{"ordered": 4, "returned": 2}]}
BATCH = "/v1/decisions/parcel/batch"


def decide(client: TestClient, headers: dict[str, str], **order: object) -> dict[str, object]:
    given = {"Content-Type": "application/json", **headers}
    answer = client.post(DECIDE, content=examples.order(**order), headers=given)
    assert answer.status_code == 200, answer.text
    decided: dict[str, object] = answer.json()
    return decided


def test_an_answer_is_recorded_and_proves_it(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    answer = decide(client, headers(), extra=1)
    shaped = schemas.Decision.model_validate(answer)
    assert shaped.order_id == "P-1"
    assert shaped.warnings == ["未知字段 /extra 已封存,未参与决策"]
    leaf = b64decode(shaped.receipt.leaf)
    verify_receipt(shaped.receipt.proof, leaf, served.signer.verifier_key)
    path = f"/v1/decisions/{shaped.decision_id}"
    assert client.get(f"{path}/leaf", headers=headers()).content == leaf
    assert client.get(f"{path}/proof", headers=headers()).text == shaped.receipt.proof
    facts = client.get(f"{path}/facts", headers=headers(Role.AUDITOR)).content
    assert orjson.loads(leaf)["facts_sha256"] == sha256(facts).hexdigest()
    assert verify_store(served.store, [served.signer.verifier_key], served.sealer).ok


def test_a_counterfactual_leads_where_it_says(client: TestClient, headers: Headers) -> None:
    """Each changed order, posted back, gets the outcome that was promised."""
    answer = decide(client, headers(Accept_Language="en"), customer=RETURNING, stock=30)
    shown = schemas.Decision.model_validate(answer).counterfactuals
    assert shown
    for one in shown:
        assert one.order is not None
        assert {"stock"} == set(one.changes)
        assert one.order["stock"] == one.changes["stock"].to
        assert "instead of 30" in one.text
        posted = client.post(DECIDE, json=one.order, headers=headers())
        assert posted.json()["outcome"] == one.outcome != answer["outcome"]
    path = f"/v1/decisions/{answer['decision_id']}"
    hidden = client.get(path, headers=headers(Role.STRATEGIST)).json()["counterfactuals"]
    assert [one["order"] for one in hidden] == [None] * len(shown)


def test_what_is_read_is_what_was_answered(client: TestClient, headers: Headers) -> None:
    for language in ("zh-CN", "en"):
        given = headers(Accept_Language=language)
        answer = decide(client, given)
        read = client.get(f"/v1/decisions/{answer['decision_id']}", headers=given)
        assert read.headers["Content-Language"] == language
        later = schemas.DecisionRead.model_validate(read.json())
        assert later.proof_status.status == "verified"
        assert {name: read.json()[name] for name in answer} == answer


def test_reasons_add_up(client: TestClient, headers: Headers) -> None:
    answer = schemas.Decision.model_validate(decide(client, headers()))
    explained = answer.attributions.base_value + sum(answer.attributions.values.values())
    assert explained == pytest.approx(answer.attributions.margin, abs=1e-9)
    assert set(answer.features) == set(answer.attributions.values)
    assert sum(reason.share for reason in answer.reasons) == pytest.approx(1)


def test_a_retry_gets_the_same_bytes(client: TestClient, headers: Headers) -> None:
    given = headers(Content_Type="application/json", Idempotency_Key="k-1")
    first = client.post(DECIDE, content=examples.order(), headers=given)
    again = client.post(DECIDE, content=examples.order(), headers=given)
    assert again.content == first.content
    english = client.post(
        DECIDE, content=examples.order(), headers={**given, "Accept-Language": "en"}
    )
    assert english.json()["decision_id"] == first.json()["decision_id"]
    assert english.json()["summary"] != first.json()["summary"]


def test_a_key_with_another_body_is_a_conflict(client: TestClient, headers: Headers) -> None:
    given = headers(Content_Type="application/json", Idempotency_Key="k-1")
    client.post(DECIDE, content=examples.order(), headers=given)
    other = client.post(DECIDE, content=examples.order(stock=5.0), headers=given)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")


def test_five_retries_at_once_make_one_record(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    """Retries that race each other get one decision, byte for byte, and one record."""
    given = headers(Content_Type="application/json", Idempotency_Key="race")
    with served.store.reading() as reading:
        before = reading.tree_size()
    start = threading.Barrier(5)

    def post(_number: int) -> bytes:
        start.wait()
        return client.post(DECIDE, content=examples.order(), headers=given).content

    with ThreadPoolExecutor(5) as pool:
        answers = set(pool.map(post, range(5)))
    assert len(answers) == 1
    with served.store.reading() as reading:
        assert reading.tree_size() == before + 1


def test_a_batch_is_answered_line_by_line(client: TestClient, headers: Headers) -> None:
    lines = [examples.order(), b"{", b"", examples.order(order_id="P-2"), b'{"order_id": 7}']
    given = headers(Content_Type="application/x-ndjson", Idempotency_Key="b")
    answer = client.post(BATCH, content=b"\n".join(lines) + b"\n", headers=given)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    results = [orjson.loads(line) for line in answer.text.splitlines()]
    assert [result.get("code") for result in results] == [
        None,
        "malformed-json",
        "malformed-json",
        None,
        "order-invalid",
    ]
    assert [results[0]["order_id"], results[3]["order_id"]] == ["P-1", "P-2"]
    again = client.post(BATCH, content=b"\n".join(lines), headers=given)
    assert again.content == answer.content


def test_a_batch_scores_as_single_orders_do(client: TestClient, headers: Headers) -> None:
    orders = [examples.order(stock=float(stock), order_id=f"P-{stock}") for stock in range(7)]
    given = headers(Content_Type="application/x-ndjson")
    batch = client.post(BATCH, content=b"\n".join(orders), headers=given).text.splitlines()
    single = headers(Content_Type="application/json")
    for line, order in zip(batch, orders, strict=True):
        alone = client.post(DECIDE, content=order, headers=single).json()
        assert orjson.loads(line)["attributions"] == alone["attributions"]


def test_an_empty_batch_is_answered_with_nothing(client: TestClient, headers: Headers) -> None:
    given = headers(Content_Type="application/x-ndjson")
    answer = client.post(BATCH, content=b"", headers=given)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_batch_of_too_many_lines_is_refused(
    client: TestClient, served: Platform, headers: Headers, settings: Settings
) -> None:
    object.__setattr__(
        served,
        "settings",
        settings.model_copy(update={"max_batch_lines": 2, "max_body_bytes": 150}),
    )
    given = headers(Content_Type="application/x-ndjson")
    order = examples.order()
    assert client.post(BATCH, content=b"\n".join([order] * 3), headers=given).status_code == 413
    long = examples.order(tags=["x" * 100])
    answer = client.post(BATCH, content=b"\n".join([long, order]), headers=given)
    first, second = map(orjson.loads, answer.text.splitlines())
    assert (first["code"], second["order_id"]) == ("body-too-large", "P-1")


def test_one_order_that_does_not_add_up_does_not_refuse_its_neighbours(
    client: TestClient, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Scorer.score

    def twisted(scorer: Scorer, matrix: object, threads: int = 1) -> object:
        scores = honest(scorer, matrix, threads)  # type: ignore[arg-type]  # passed on as it came
        scores.margins[matrix[:, 1] == 13.0] += 1.0  # type: ignore[index]  # it is a matrix
        return scores

    monkeypatch.setattr(Scorer, "score", twisted)
    lines = [examples.order(), examples.order(stock=13.0)]
    given = headers(Content_Type="application/x-ndjson")
    answer = client.post(BATCH, content=b"\n".join(lines), headers=given)
    first, second = map(orjson.loads, answer.text.splitlines())
    assert (first["order_id"], second["code"]) == ("P-1", "invariant-broken")
    alone = client.post(DECIDE, content=lines[1], headers=headers(Content_Type="application/json"))
    assert (alone.status_code, alone.json()["code"]) == (503, "invariant-broken")


def test_a_batch_whose_model_goes_away_says_so_in_each_line(
    client: TestClient, served: Platform, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = served.live.get
    # The request begins by looking the kind up, which still finds it.
    monkeypatch.setattr(served.live, "get", lambda _kind: honest("admission"))
    given = headers(Content_Type="application/x-ndjson")
    answer = client.post(BATCH, content=examples.order() + b"\n" + examples.order(), headers=given)
    assert [orjson.loads(line)["code"] for line in answer.text.splitlines()] == [
        "no-live-model"
    ] * 2


@pytest.mark.parametrize("key", ["", "é", "a b", "x" * 256, "\t"])
def test_an_unfit_idempotency_key_is_refused(
    client: TestClient, headers: Headers, key: str
) -> None:
    given = {
        **headers(Content_Type="application/json"),
        "Idempotency-Key": key.encode().decode("latin-1"),
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    for path in (DECIDE, BATCH):
        raw[1] = (b"Content-Type", b"application/json" if path == DECIDE else b"application/ndjson")
        answer = client.post(path, content=examples.order(), headers=raw)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/headers/idempotency-key"


def test_an_order_without_its_id_is_refused(
    client: TestClient, served: Platform, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = served.live.get("parcel")
    kind = model.kind.model_copy(update={"order_id": "customer.customer_id"})
    object.__setattr__(model, "kind", kind)
    monkeypatch.setattr(served.live, "get", lambda _kind: model)
    given = headers(Content_Type="application/json")
    answer = client.post(DECIDE, content=examples.order(), headers=given)
    assert answer.json()["errors"] == [
        {"pointer": "/customer/customer_id", "message": "an order needs its id"}
    ]
    named = examples.order(customer={"customer_id": "C-1"})
    assert client.post(DECIDE, content=named, headers=given).json()["order_id"] == "C-1"
