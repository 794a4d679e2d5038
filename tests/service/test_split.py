"""Splitting over HTTP: recorded before answered, shown, searched, replayed, verified."""

from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from audit.receipt import verify_receipt
from audit.verify import verify_store
from service.api import split_schemas
from service.auth import Role
from service.usecases.replay import replay_sample
from service.wiring import Platform
from tests.databases import SampleDatabase
from tests.models.split.examples import example_order
from tests.service.conftest import Headers
from tests.splits import EXAMPLES, publish_split

pytestmark = pytest.mark.both_databases

DECIDE = "/v1/decisions/split"
BATCH = "/v1/decisions/split/batch"


@pytest.fixture(autouse=True)
def split_is_live(served: Platform) -> None:
    publish_split(served)


def split(client: TestClient, headers: dict[str, str], name: str = "two-parcels") -> dict[str, Any]:
    given = {"Content-Type": "application/json", **headers}
    answer = client.post(DECIDE, content=example_order(name), headers=given)
    assert answer.status_code == 200, answer.text
    decided: dict[str, Any] = answer.json()
    return decided


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_split_is_recorded_shown_and_replayed(
    client: TestClient, served: Platform, headers: Headers, name: str
) -> None:
    """What is answered is what was stored, its proof holds, and deciding again gives the same."""
    answer = split(client, headers(), name)
    shaped = split_schemas.SplitDecision.model_validate(answer, extra="forbid")
    leaf = b64decode(shaped.receipt.leaf)
    verify_receipt(shaped.receipt.proof, leaf, served.signer.verifier_key)
    path = f"/v1/decisions/{shaped.decision_id}"
    facts = client.get(f"{path}/facts", headers=headers(Role.AUDITOR)).content
    assert orjson.loads(leaf)["facts_sha256"] == sha256(facts).hexdigest()
    read = client.get(path, headers=headers()).json()
    later = split_schemas.SplitDecisionRead.model_validate(read, extra="forbid")
    assert later.proof_status.status == "verified"
    assert {key: read[key] for key in answer} == answer
    replayed = client.post(f"{path}/replay", headers=headers(Role.AUDITOR)).json()
    assert (replayed["match"], replayed["differences"]) == (True, [])
    assert replayed["recorded"] == replayed["replayed"]
    report = verify_store(served.store, [served.signer.verifier_key], served.sealer)
    assert report.problems == ()
    listed = client.get("/v1/decisions?kind=split", headers=headers(Role.AUDITOR)).json()
    assert [one["decision_id"] for one in listed["decisions"]] == [shaped.decision_id]
    assert listed["decisions"][0]["order_id"] == shaped.order_id


def test_both_languages_tell_the_same_decision(client: TestClient, headers: Headers) -> None:
    given = headers(Idempotency_Key="k-1", Accept_Language="zh-CN")
    chinese = split(client, given)
    english = split(client, {**given, "Accept-Language": "en"})
    assert chinese["decision_id"] == english["decision_id"]
    assert "发货" in chinese["summary"]
    assert "ship from" in english["summary"]


def test_a_retry_gets_the_same_bytes_and_another_body_a_conflict(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    given = headers(Content_Type="application/json", Idempotency_Key="k-1")
    first = client.post(DECIDE, content=example_order("two-parcels"), headers=given)
    with served.store.reading() as reading:
        size = reading.tree_size()
    again = client.post(DECIDE, content=example_order("two-parcels"), headers=given)
    assert again.content == first.content
    other = client.post(DECIDE, content=example_order("no-plan"), headers=given)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    with served.store.reading() as reading:
        assert reading.tree_size() == size


def test_a_batch_is_answered_line_by_line(client: TestClient, headers: Headers) -> None:
    """A line that cannot be split is answered with its problem and hinders no other."""
    one = orjson.dumps(orjson.loads(example_order("no-plan")))
    twice = orjson.loads(one)
    twice["lines"] *= 2
    nameless = orjson.loads(one)
    del nameless["order_id"]
    lines = [one, b"{", orjson.dumps(twice), orjson.dumps(nameless), one]
    given = headers(Content_Type="application/x-ndjson", Idempotency_Key="b")
    answer = client.post(BATCH, content=b"\n".join(lines), headers=given)
    results = [orjson.loads(line) for line in answer.text.splitlines()]
    assert [result.get("code") for result in results] == [
        None,
        "malformed-json",
        "order-invalid",
        "order-invalid",
        None,
    ]
    assert results[0]["outcome"] == results[4]["outcome"] == "hold"
    assert results[0]["decision_id"] != results[4]["decision_id"]
    assert client.post(BATCH, content=b"\n".join(lines), headers=given).content == answer.content


def test_a_malformed_order_names_its_places(client: TestClient, headers: Headers) -> None:
    given = headers(Content_Type="application/json")
    order = orjson.loads(example_order("no-plan"))
    order["lines"][0]["quantity"] = 0
    order["warehouses"][0]["services"][0]["cut_off_at"] = "soon"
    answer = client.post(DECIDE, json=order, headers=headers())
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {
        "/lines/0/quantity",
        "/warehouses/0/services/0/cut_off_at",
    }
    refused = client.post(DECIDE, content=b"[]", headers=given)
    assert refused.status_code == 422
    key = headers(Content_Type="application/json") | {"Idempotency-Key": "a b"}
    unfit = client.post(DECIDE, content=example_order("no-plan"), headers=key)
    assert unfit.json()["errors"][0]["pointer"] == "/headers/idempotency-key"


def test_fields_that_the_kind_does_not_know_are_sealed_and_named(
    client: TestClient, headers: Headers
) -> None:
    order = orjson.loads(example_order("no-plan")) | {"gift_note": "生日快乐"}
    answer = client.post(DECIDE, json=order, headers=headers(Accept_Language="en")).json()
    assert answer["warnings"] == ["unknown field /gift_note was kept sealed and not used"]
    path = f"/v1/decisions/{answer['decision_id']}"
    hidden = client.get(path, headers=headers(Role.STRATEGIST)).json()
    assert (hidden["order_id"], hidden["warnings"]) == (None, [])


def test_a_person_may_decide_otherwise(client: TestClient, headers: Headers) -> None:
    answer = split(client, headers(), "no-plan")
    path = f"/v1/decisions/{answer['decision_id']}"
    wrong = {"outcome": "accept", "reason_code": "CALLED"}
    operator = headers(Role.OPERATOR)
    assert client.post(f"{path}/override", json=wrong, headers=operator).status_code == 422
    right = {"outcome": "review", "reason_code": "CALLED"}
    assert client.post(f"{path}/override", json=right, headers=operator).status_code == 201
    happened = {"label": "late", "observed_at": "2026-03-06T00:00:00Z"}
    assert client.post(f"{path}/outcome", json=happened, headers=headers()).status_code == 201
    read = client.get(path, headers=operator).json()
    assert (read["outcome_in_force"], read["observed_outcome"]["label"]) == ("review", "late")


def test_the_kind_is_listed_like_every_other(client: TestClient, headers: Headers) -> None:
    kinds = client.get("/v1/kinds", headers=headers()).json()["kinds"]
    kind = next(one for one in kinds if one["name"] == "split")
    assert kind == client.get("/v1/kinds/split", headers=headers()).json()
    assert kind["model"]["version"] == "1"
    assert kind["policy"]["digest"].startswith("sha256:")
    fields = kind["request_schema"]["properties"]
    assert {"order_id", "lines", "warehouses"} <= fields.keys()
    assert "pair" not in fields
    assert "distance_km" in {feature["name"] for feature in kind["features"]}
    assert [outcome["code"] for outcome in kind["outcomes"]] == ["ship", "review", "hold"]
    assert len(kind["examples"]) >= 3
    for example in kind["examples"]:
        answer = client.post(DECIDE, json=example["order"], headers=headers())
        assert answer.status_code == 200, example["name"]


def test_a_sample_of_splits_and_others_replays(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    """`candor replay --sample` decides splits again beside the other kinds."""
    for name in EXAMPLES:
        split(client, headers(), name)
    kind = client.get("/v1/kinds/parcel", headers=headers()).json()
    order = kind["examples"][0]["order"]
    assert client.post("/v1/decisions/parcel", json=order, headers=headers()).status_code == 200
    result = replay_sample(served, 10, 1, lambda _done, _total: None)
    assert (result["replayed"], result["identical"], result["differences"]) == (4, 4, [])


def test_a_tampered_split_is_named(
    client: TestClient, served: Platform, headers: Headers, database: SampleDatabase
) -> None:
    """Whoever changes a stored plan is found by the hash that the header holds."""
    answer = split(client, headers())
    database.overwrite(
        "facts_part", "body", lambda body: body.replace(b'"quantity":2', b'"quantity":3', 1)
    )
    report = verify_store(served.store, [served.signer.verifier_key], served.sealer)
    assert [(p.entry_id, p.code) for p in report.problems] == [
        (answer["decision_id"], "facts-hash")
    ]
    read = client.get(f"/v1/decisions/{answer['decision_id']}", headers=headers()).json()
    assert read["proof_status"]["status"] == "broken"


def test_five_splits_at_once_are_five_records(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    given = headers(Content_Type="application/json")

    def post(_number: int) -> dict[str, Any]:
        answer: dict[str, Any] = client.post(
            DECIDE, content=example_order("two-parcels"), headers=given
        ).json()
        return answer

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(post, range(5)))
    assert len({answer["decision_id"] for answer in answers}) == 5
    # The same order, model and policy give the same plan.
    assert len({orjson.dumps([a["plan"], a["why_not"]]) for a in answers}) == 1
    report = verify_store(served.store, [served.signer.verifier_key], served.sealer)
    assert report.ok


def test_nothing_is_answered_without_a_record(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    served.writer.close()
    given = headers(Content_Type="application/json")
    answer = client.post(DECIDE, content=example_order("no-plan"), headers=given)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
