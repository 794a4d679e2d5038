"""An outside node decides a kind: well, slowly, wrongly, not at all; each is recorded the same."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from audit.verify import verify_store
from models.kind import parse_kind
from service.api.outside_schemas import OutsideDecision, OutsideDecisionRead
from service.app import create_app
from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.publish_outside import publish_outside
from service.wiring import Platform, open_platform
from tests.oip_server import MODEL, VERSION, Answer, OipServer, running_node
from tests.outside import NAME, outside_document, outside_order, unexplained_document

PATH = f"/v1/decisions/{NAME}"


@pytest.fixture
def node() -> Iterator[OipServer]:
    with running_node() as running:
        yield running


@dataclass(frozen=True)
class Desk:
    """A running application whose kind a node serves, and its callers' keys."""

    client: TestClient
    platform: Platform
    keys: dict[Role, str]

    def headers(self, role: Role = Role.OMS, more: dict[str, str] | None = None) -> dict[str, str]:
        known = {"Authorization": f"Bearer {self.keys[role]}", "Accept-Language": "en"}
        return {**known, **(more or {})}

    def decide(
        self, order: bytes | None = None, more: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Decide an order, which must be answered whatever the node does."""
        headers = self.headers(more={"Content-Type": "application/json", **(more or {})})
        answer = self.client.post(PATH, content=order or outside_order(), headers=headers)
        assert answer.status_code == 200, answer.text
        decided: dict[str, Any] = answer.json()
        OutsideDecision.model_validate(decided, extra="forbid")
        return decided

    def facts(self, decision: dict[str, Any]) -> dict[str, Any]:
        """Return what is stored of a decision."""
        path = f"/v1/decisions/{decision['decision_id']}/facts"
        stored: dict[str, Any] = self.client.get(path, headers=self.headers(Role.AUDITOR)).json()
        return stored

    def check(self, decision: dict[str, Any]) -> None:
        """Check that a decision is read, found, replayed without the node, and verified."""
        path = f"/v1/decisions/{decision['decision_id']}"
        read = self.client.get(path, headers=self.headers()).json()
        OutsideDecisionRead.model_validate(read, extra="forbid")
        assert read["proof_status"]["status"] == "verified"
        assert {key: read[key] for key in decision} == decision
        replayed = self.client.post(f"{path}/replay", headers=self.headers(Role.AUDITOR)).json()
        assert (replayed["match"], replayed["differences"]) == (True, [])
        assert replayed["note"].startswith("node not asked again")
        search = f"/v1/decisions?kind={NAME}"
        found = self.client.get(search, headers=self.headers(Role.AUDITOR)).json()["decisions"]
        assert decision["decision_id"] in {one["decision_id"] for one in found}
        store, signer = self.platform.store, self.platform.signer
        assert verify_store(store, [signer.verifier_key], self.platform.sealer).problems == ()


@contextmanager
def open_desk(folder: Path, document: dict[str, Any], **changes: object) -> Iterator[Desk]:
    settings = Settings.model_validate(
        {"var": folder / "var", "model_refresh_seconds": 0, "log_level": "error", **changes}
    )
    with open_platform(settings) as platform:
        publish_outside(platform, parse_kind(document), actor="test", is_replacing=False)
        keys = {role: create_key(platform, role.value, role, "test")[1] for role in Role}
    app = create_app(settings)
    with TestClient(app) as client:
        yield Desk(client, app.state.platform, keys)


@pytest.fixture
def desk(tmp_path: Path, node: OipServer) -> Iterator[Desk]:
    document = outside_document(node.url, timeout_ms=400)
    with open_desk(tmp_path, document) as opened:
        yield opened


def rules(decision: dict[str, Any]) -> dict[str, Any]:
    return {rule["id"]: rule for rule in decision["rules"]}


def failed(desk: Desk, code: str, order: bytes | None = None) -> dict[str, Any]:
    """Decide while the node fails: recorded, answered by the policy's fallback, replayed."""
    decision = desk.decide(order)
    assert decision["node"]["failure"]["code"] == code, decision["node"]
    assert (decision["outcome"], decision["automated"]) == ("review", False)
    assert (decision["probability"], decision["interval"]) == (None, None)
    assert (decision["confidence"], decision["thresholds"]) == (0.0, None)
    assert rules(decision)["node-failed"]["facts"]["cause"] == code
    assert "a person decides" in decision["summary"]
    assert not decision["explained"]
    desk.check(decision)
    return decision


def test_a_good_answer_is_explained_by_the_node(desk: Desk, node: OipServer) -> None:
    """Its attributions are checked, and said in the kind's own sentences."""
    decision = desk.decide()
    assert (decision["outcome"], decision["automated"]) == ("reject", True)
    assert decision["probability"] == pytest.approx(0.7109, abs=1e-3)
    assert decision["confidence"] == decision["probability"] == decision["raw_probability"]
    assert (decision["explained"], decision["explained_by"]) == (True, "node")
    assert [reason["code"] for reason in decision["reasons"]] == ["DROP_HIGH", "PACKING_WEAK"]
    assert decision["reasons"][0]["text"] == "it may drop 80 cm"
    assert decision["attributions"]["values"].keys() == decision["features"].keys()
    assert decision["model"] == {
        "name": MODEL,
        "version": VERSION,
        "bundle": desk.platform.live.publications()[NAME].model.bundle,
        "run_id": "",
    }
    assert decision["node"]["status"] == 200
    assert decision["node"]["latency_ms"] > 0
    assert decision["node"]["request_id"] == decision["decision_id"]
    desk.check(decision)
    assert len(node.requests) == 1


def test_the_request_is_that_of_the_protocols_own_client(desk: Desk, node: OipServer) -> None:
    """One tensor per feature in MLServer's form; no identifier and no field of the order beside."""
    desk.decide(outside_order(drop_height_cm=None, double_walled=None))
    assert node.paths == [f"/v2/models/{MODEL}/versions/{VERSION}/infer"]
    [request] = node.requests
    assert request["parameters"] == {"content_type": "pd"}
    assert request["inputs"] == [
        {"name": "drop_height_cm", "shape": [1], "datatype": "FP64", "data": [None]},
        {
            "name": "material",
            "shape": [1],
            "datatype": "BYTES",
            "data": ["glass"],
            "parameters": {"content_type": "str"},
        },
    ]
    sent = orjson.dumps(request).decode()
    assert not [secret for secret in ("F-1", "C-77", "2026-02-01", "DE") if secret in sent]


def test_without_attributions_it_is_not_explained_by_us(tmp_path: Path, node: OipServer) -> None:
    """And the answer says so in both languages."""
    with open_desk(tmp_path, unexplained_document(node.url)) as desk:
        decision = desk.decide(more={"Idempotency-Key": "k"})
        assert (decision["explained"], decision["explained_by"]) == (False, None)
        assert decision["explanation"] == "not explained by us"
        assert (decision["reasons"], decision["attributions"]) == ([], None)
        assert decision["outcome"] == "reject"
        chinese = desk.decide(more={"Idempotency-Key": "k", "Accept-Language": "zh-CN"})
        assert chinese["explanation"] == "非本平台解释"
        assert chinese["decision_id"] == decision["decision_id"]
        # A retry gets the recorded answer; the node is not asked twice.
        assert len(node.requests) == 1
        desk.check(decision)


def _output(name: str, **changes: object) -> Callable[[Answer], Answer]:
    def change(answer: Answer) -> Answer:
        for one in answer["outputs"]:
            if one["name"] == name:
                one.update(changes)
        return answer

    return change


def _drop(answer: Answer) -> Answer:
    return {**answer, "outputs": answer["outputs"][:-1]}


def _add(answer: Answer) -> Answer:
    return {**answer, "outputs": [*answer["outputs"], {"name": "more"}]}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda _: b"<html>it works</html>", "not-json"),
        (lambda _: b"\x00\xff\xfe garbage", "not-utf8"),
        (lambda _: b"\x00\x01\x7f", "not-json"),
        (lambda _: b"", "not-json"),
        (lambda _: b"[]", "wrong-form"),
        (lambda answer: {**answer, "outputs": None}, "wrong-form"),
        (lambda answer: {**answer, "model_name": "other"}, "wrong-model"),
        (lambda answer: {**answer, "model_version": "4"}, "wrong-version"),
        (lambda answer: {**answer, "id": "another"}, "wrong-id"),
        (_drop, "missing-output"),
        (_add, "unexpected-output"),
        (_output("damage_probability", datatype="BYTES", data=["0.2"]), "wrong-datatype"),
        (_output("damage_probability", shape=[2], data=[0.2, 0.3]), "wrong-shape"),
        (_output("damage_probability", data=[0.2, 0.3]), "wrong-shape"),
        (_output("damage_probability", data=["0.2"]), "wrong-value"),
        (_output("damage_probability", data=[1.5]), "out-of-range"),
        (_output("damage_probability", data=[0.5]), "not-linked"),
        (_output("contributions", data=[0.1, 0.2, 0.3]), "not-linked"),
    ],
)
def test_a_node_that_lies_about_its_schema(
    desk: Desk, node: OipServer, change: Callable[[Answer], Answer | bytes], code: str
) -> None:
    """Whatever it says instead of what the kind asks for, a person decides, and it is kept."""
    node.change = change
    decision = failed(desk, code)
    call = desk.facts(decision)["call"]
    assert (call["status"], len(call["body_sha256"])) == (200, 64)
    assert (call["body"] is None) == (code == "not-utf8")


def test_a_slow_node_is_given_up_in_time(desk: Desk, node: OipServer) -> None:
    """No part of the exchange waits longer than the deadline, and the latency is recorded."""
    node.delay_seconds = 30.0
    decision = failed(desk, "timed-out")
    assert decision["node"]["status"] is None
    assert decision["node"]["latency_ms"] == desk.facts(decision)["call"]["latency_ms"]
    assert decision["model"]["version"] == VERSION


@pytest.mark.parametrize("drips_headers", [False, True])
def test_a_dripping_node_is_given_up_in_time(
    desk: Desk, node: OipServer, *, drips_headers: bool
) -> None:
    """One byte now and then does not move the deadline."""
    node.drip_seconds, node.drips_headers = 0.05, drips_headers
    began = time.monotonic()
    failed(desk, "timed-out")
    # Its whole answer takes half a minute; this is no measurement.
    assert time.monotonic() - began < 10.0


def test_a_failing_node(desk: Desk, node: OipServer) -> None:
    node.status = 500
    assert failed(desk, "http-status")["node"]["status"] == 500
    counted = desk.client.get("/metrics").text
    assert f'candor_node_calls_total{{kind="{NAME}",result="http-status"}} 1.0' in counted


def test_a_redirect_is_never_followed(desk: Desk, node: OipServer) -> None:
    node.status, node.location = 307, f"{node.url}/v2/models/other/infer"
    failed(desk, "redirected")
    assert len(node.requests) == 1


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_node_that_dies_mid_answer(desk: Desk, node: OipServer, *, hangs_up: bool) -> None:
    """Less came than was announced, or the connection broke."""
    node.hangs_up = hangs_up
    node.declared_bytes = None if hangs_up else 5_000
    failed(desk, "broken-off")


def test_a_huge_answer_is_not_read(tmp_path: Path, node: OipServer) -> None:
    node.change = lambda _: b" " * 1_000_000
    with open_desk(tmp_path, outside_document(node.url)) as desk:
        decision = failed(desk, "too-large")
        assert desk.facts(decision)["call"]["body"] is None


def test_a_node_that_is_gone(desk: Desk, node: OipServer) -> None:
    node.server.socket.close()
    failed(desk, "unreachable")


def test_a_rule_is_stricter_than_a_failed_node(desk: Desk, node: OipServer) -> None:
    """What the policy refuses by itself stays refused when the node says nothing."""
    node.status = 503
    decision = desk.decide(outside_order("AQ"))
    assert (decision["outcome"], decision["automated"]) == ("reject", True)
    assert {"no-service", "node-failed"} <= rules(decision).keys()
    desk.check(decision)


@pytest.mark.parametrize("country", ["CN", None])
def test_domestic_data_does_not_leave(desk: Desk, node: OipServer, country: str | None) -> None:
    """Nothing arrives at a node without the mark, nor when the country is not known."""
    decision = desk.decide(outside_order(country))
    assert node.paths == []
    refused = rules(decision)["domestic-data-stays"]
    assert (refused["effect"], refused["facts"]["marks_needed"]) == ("exclude", "domestic")
    assert rules(decision)["node-not-asked"]["effect"] == "review"
    assert (decision["outcome"], decision["automated"]) == ("review", False)
    assert decision["node"] == {
        "asked": False,
        "request_id": None,
        "latency_ms": None,
        "status": None,
        "failure": decision["node"]["failure"],
    }
    assert desk.facts(decision)["call"] is None
    desk.check(decision)


def test_domestic_data_goes_to_a_domestic_node(tmp_path: Path, node: OipServer) -> None:
    with open_desk(tmp_path, outside_document(node.url, marks=["domestic"])) as desk:
        decision = desk.decide(outside_order("CN"))
        assert len(node.requests) == 1
        assert "domestic-data-stays" not in rules(decision)
        assert decision["outcome"] == "reject"
        desk.check(decision)


def test_a_batch_is_decided_line_by_line(desk: Desk, node: OipServer) -> None:
    """Some answered, some refused by residency, one malformed; in order, each with its record."""
    orders = [
        outside_order(order_id="B-0"),
        outside_order("CN", order_id="B-1"),
        b"{",
        outside_order(order_id=None),
        *(outside_order(order_id=f"B-{n}", drop_height_cm=float(n)) for n in range(4, 24)),
    ]
    headers = desk.headers(more={"Content-Type": "application/x-ndjson", "Idempotency-Key": "b"})
    answer = desk.client.post(f"{PATH}/batch", content=b"\n".join(orders), headers=headers)
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert [line.get("code") for line in lines[:4]] == [
        None,
        None,
        "malformed-json",
        "order-invalid",
    ]
    assert [line["order_id"] for line in lines[4:]] == [f"B-{n}" for n in range(4, 24)]
    assert [line["outcome"] for line in lines[:2]] == ["reject", "review"]
    chances = [line["probability"] for line in lines[4:]]
    assert chances == sorted(chances)
    assert len(node.requests) == 21
    assert len({line["decision_id"] for line in lines if "decision_id" in line}) == 22
    again = desk.client.post(f"{PATH}/batch", content=b"\n".join(orders), headers=headers)
    assert again.content == answer.content
    desk.check(lines[0])
    node.status = 500
    broken = desk.client.post(
        f"{PATH}/batch",
        content=outside_order(),
        headers=desk.headers(more={"Content-Type": "application/x-ndjson"}),
    ).json()
    assert rules(broken)["node-failed"]["facts"]["cause"] == "http-status"


def test_the_kind_is_listed_and_amended_like_every_other(desk: Desk) -> None:
    listed = desk.client.get("/v1/kinds", headers=desk.headers()).json()["kinds"]
    kind = next(one for one in listed if one["name"] == NAME)
    assert kind == desk.client.get(f"/v1/kinds/{NAME}", headers=desk.headers()).json()
    assert kind["node"] == {"model": MODEL, "version": VERSION, "marks": [], "explains": True}
    assert "127.0.0.1" not in orjson.dumps(kind).decode()
    decision = desk.decide(orjson.dumps(kind["examples"][0]["order"]))
    path = f"/v1/decisions/{decision['decision_id']}"
    said = {"outcome": "accept", "reason_code": "CALLED"}
    operator = desk.headers(Role.OPERATOR)
    assert desk.client.post(f"{path}/override", json=said, headers=operator).status_code == 201
    happened = {"label": "reject", "observed_at": "2026-03-06T00:00:00Z"}
    outcome = desk.client.post(f"{path}/outcome", json=happened, headers=desk.headers())
    assert outcome.status_code == 201
    read = desk.client.get(path, headers=operator).json()
    assert (read["outcome_in_force"], read["observed_outcome"]["label"]) == ("accept", "reject")
    ready = desk.client.get("/health/ready").json()
    assert (ready["status"], ready["checks"][1]["ok"]) == ("ready", True)


def test_nobody_can_send_the_platform_elsewhere(desk: Desk, node: OipServer) -> None:
    """An address in an order is a field that the kind does not know."""
    decision = desk.decide(outside_order(node={"url": "http://127.0.0.1:1"}, url="http://x"))
    assert len(node.requests) == 1
    assert len(decision["warnings"]) == 2
