"""Erasing over HTTP and the command line: what is shown afterwards, and to whom it is allowed."""

import base64
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from httpx2 import Response
from pydantic import SecretStr
from starlette.testclient import TestClient
from typer.testing import CliRunner

from audit.errors import StoreUnavailableError
from audit.records import Entry
from audit.verify import verify_store
from service.api.schemas import DecisionRead, SearchPage
from service.api.subject_schemas import Erasure
from service.auth import Role
from service.cli.application import application
from service.errors import KeyFileError
from service.keyfiles import load_key_encryption, load_keys, rotate_key_encryption
from service.settings import Settings
from service.usecases.erase import LOST
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.models import examples
from tests.service.conftest import Headers

Decide = Callable[..., str]


@pytest.fixture
def decide(client: TestClient, headers: Headers) -> Decide:
    def post(order_id: str, customer_id: str | None = "C-1") -> str:
        customer = {"customer_id": customer_id, "recent_orders": [{"ordered": 10, "returned": 0}]}
        # Too little stock: there is a counterfactual, with an order.
        body = examples.order(order_id=order_id, stock=0.0, customer=customer)
        given = headers(Content_Type="application/json", Idempotency_Key=f"key-{order_id}")
        answer = client.post("/v1/decisions/parcel", content=body, headers=given)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["decision_id"])

    return post


def erase(
    client: TestClient, headers: Headers, name: str, role: Role = Role.ADMIN, **query: str
) -> Response:
    return client.delete(f"/v1/subjects/{name}", headers=headers(role), params=query)


def code_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["code"])


def read(client: TestClient, headers: Headers, decision_id: str) -> DecisionRead:
    answer = client.get(f"/v1/decisions/{decision_id}", headers=headers(Role.AUDITOR))
    assert answer.status_code == 200, answer.text
    return DecisionRead.model_validate(answer.json())


@pytest.mark.both_databases
def test_an_erased_decision_stands_without_its_order(
    client: TestClient, headers: Headers, served: Platform, decide: Decide
) -> None:
    """Facts, proof and replay stay; order, identifiers and free text are gone, and it says so."""
    ids, other = [decide("P-1"), decide("P-2")], decide("P-3", "C-2")
    comment = {"outcome": "accept", "reason_code": "CALLED", "comment": "Ada called"}
    given = headers(Role.OPERATOR, Content_Type="application/json")
    path = f"/v1/decisions/{ids[0]}/override"
    assert client.post(path, json=comment, headers=given).status_code == 201
    before = read(client, headers, ids[0])
    assert (before.order_id, before.erased, before.overrides[0].comment) == (
        *("P-1", False),
        "Ada called",
    )
    erased = Erasure.model_validate(erase(client, headers, "C-1", reason="DSR-7").json())
    assert (erased.records, erased.decision_ids) == ({"decision": 2, "override": 1}, ids)
    assert erased.lost == list(LOST)
    after = read(client, headers, ids[0])
    assert (after.order_id, after.erased, after.overrides[0].comment) == (None, True, "")
    assert all(one.order is None for one in after.counterfactuals)
    assert len(after.counterfactuals) == len(before.counterfactuals)
    assert after.proof_status.status == "verified"
    assert (after.outcome, after.attributions) == (before.outcome, before.attributions)
    assert not read(client, headers, other).erased
    replayed = client.post(f"/v1/decisions/{ids[0]}/replay", headers=headers(Role.AUDITOR)).json()
    assert replayed["match"] is True
    assert "order is gone" in replayed["note"]
    found = client.get("/v1/decisions", params={}, headers=headers(Role.AUDITOR)).json()
    page = SearchPage.model_validate(found)
    assert [(one.order_id, one.erased) for one in page.decisions] == [
        *[("P-3", False), (None, True)],
        (None, True),
    ]
    query = {"order_id": "P-1"}
    found = client.get("/v1/decisions", params=query, headers=headers(Role.AUDITOR)).json()
    assert found["decisions"] == []
    events = client.get("/v1/events", headers=headers()).json()["events"]
    assert [one["order_id"] for one in events if one["type"] == "override"] == [None]
    report = verify_store(served.store, [served.signer.verifier_key], served.sealer)
    assert (report.problems, report.erased) == ((), 3)


def test_nothing_more_is_said_of_an_erased_decision(
    client: TestClient, headers: Headers, decide: Decide
) -> None:
    decision_id = decide("P-1")
    assert erase(client, headers, "C-1").status_code == 200
    path = f"/v1/decisions/{decision_id}"
    given = headers(Role.OPERATOR, Content_Type="application/json")
    comment = {"outcome": "accept", "reason_code": "X", "comment": "Ada"}
    override = client.post(f"{path}/override", json=comment, headers=given)
    assert code_of(override) == (410, "erased")
    as_of = {"as_of": "2026-02-01T00:00:00Z"}
    given = headers(Role.AUDITOR, Content_Type="application/json")
    asked = client.post(f"{path}/replay", json=as_of, headers=given)
    assert asked.status_code == 409


def test_a_key_of_an_erased_order_decides_anew(
    client: TestClient, headers: Headers, decide: Decide
) -> None:
    first = decide("P-1")
    assert decide("P-1") == first
    erase(client, headers, "C-1")
    assert decide("P-1") != first


def test_an_order_without_a_customer_is_erased_by_its_own_id(
    client: TestClient, headers: Headers, decide: Decide
) -> None:
    decision_id = decide("P/1", None)
    assert code_of(erase(client, headers, "P/1")) == (404, "subject-not-found")
    assert erase(client, headers, "P/1", of="order").json()["records"] == {"decision": 1}
    assert read(client, headers, decision_id).erased
    assert code_of(erase(client, headers, "P/1", of="order")) == (404, "subject-not-found")


def test_only_an_admin_erases_and_a_reason_is_a_code(
    client: TestClient, headers: Headers, decide: Decide
) -> None:
    decide("P-1")
    for role in set(Role) - {Role.ADMIN}:
        assert erase(client, headers, "C-1", role).status_code == 403
    refused = erase(client, headers, "C-1", reason="asked by Ada Lovelace")
    assert code_of(refused) == (422, "request-invalid")
    assert erase(client, headers, "C-1", of="person").status_code == 422


@pytest.mark.both_databases
def test_what_an_erasure_could_not_finish_is_finished_by_the_next(
    client: TestClient,
    headers: Headers,
    served: Platform,
    decide: Decide,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that fails in between gives 503; the subject is gone all the same."""
    decision_id, _ = decide("P-1"), decide("P-2", "C-2")

    def fail(_entry: Entry) -> None:
        raise StoreUnavailableError("full")

    with monkeypatch.context() as patch:
        patch.setattr(type(served.writer), "record_one", lambda _self, entry: fail(entry))
        assert code_of(erase(client, headers, "C-1")) == (503, "store-unavailable")
    assert read(client, headers, decision_id).erased
    assert erase(client, headers, "C-2").status_code == 200
    report = verify_store(served.store, [served.signer.verifier_key], served.sealer)
    assert (report.problems, report.erased) == ((), 2)


def test_the_command_line_erases_holds_and_rotates(settings: Settings, tmp_path: Path) -> None:
    """A hold stops the erasure with exit code 1; a rotation leaves every seal readable."""
    with open_platform(settings) as platform:
        publish_small_model(platform)

    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(application, [*arguments, "--var", str(settings.var)])
        return done.exit_code, done.stdout, done.stderr

    order = tmp_path / "order.json"
    order.write_bytes(examples.order(order_id="P-1", customer={"customer_id": "C-1"}))
    assert run("decide", str(order), "--kind", "parcel")[0] == 0
    for options in ([], ["--subject", "C-1", "--order", "P-1"]):
        assert run("erase", *options)[0] == 2
    assert run("erase", "--subject", "C-9")[0] == 1
    held = orjson.loads(run("hold", "add", "--subject", "C-1", "--json")[1])
    assert held["held"] is True
    code, _, told = run("erase", "--subject", "C-1")
    assert (code, "subject-held" in told) == (1, True)
    assert run("hold", "remove", "--subject", "C-1")[1].startswith("released, entry ")
    rotated = run("key-encryption", "rotate", "--json")[1]
    assert orjson.loads(rotated) == {"epoch": 2, "wrapped": 1}
    names = sorted(path.name for path in settings.keys.glob("key-encryption*"))
    assert names == ["key-encryption-2.key"]
    assert run("key-encryption", "rotate")[1] == "epoch 3, 1 keys wrapped\n"
    assert orjson.loads(run("replay", "--sample", "1", "--json")[1])["identical"] == 1
    assert "erased   1 decision" in run("erase", "--subject", "C-1", "--reason", "DSR-7")[1]
    assert run("verify")[0] == 0
    order.write_bytes(examples.order(order_id="P-2", customer={"customer_id": "C-2"}))
    assert run("decide", str(order), "--kind", "parcel")[0] == 0
    erased = orjson.loads(run("erase", "--subject", "C-2", "--json")[1])
    assert erased["records"] == {"decision": 1}


def test_a_store_without_its_subject_keys_does_not_open(settings: Settings) -> None:
    with open_platform(settings) as platform:
        publish_small_model(platform)
    for path in settings.keys.glob("subjects.db*"):
        path.unlink()
    with pytest.raises(KeyFileError, match=r"subjects\.db is missing"), open_platform(settings):
        pass
    # An empty file says that they are lost indeed, and that the service may go on.
    (settings.keys / "subjects.db").touch()
    with open_platform(settings):
        pass


def b64(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


def given(tmp_path: Path, text: str) -> Settings:
    return Settings(var=tmp_path, key_encryption_key=SecretStr(text))


def test_key_encryption_keys_come_from_a_setting_by_epoch(tmp_path: Path) -> None:
    one = load_key_encryption(given(tmp_path, b64(1)), may_create=False)
    assert one == {1: bytes([1]) * 32}
    several = given(tmp_path, f"1:{b64(1)}, 2:{b64(2)}")
    assert load_key_encryption(several, may_create=False) == {
        1: bytes([1]) * 32,
        2: bytes([2]) * 32,
    }
    for text in ("x:AAAA", "1:AAAA", "0:" + b64(1), ","):
        with pytest.raises(KeyFileError):
            load_key_encryption(given(tmp_path, text), may_create=False)


def test_a_rotation_by_setting_needs_the_next_epoch_there(tmp_path: Path) -> None:
    with open_platform(given(tmp_path, b64(1))) as platform:
        assert platform.subject_keys.key_of(b"o" * 32)
        with pytest.raises(KeyFileError, match="no epoch above 1"):
            rotate_key_encryption(platform.settings, platform.subject_keys)
    both = given(tmp_path, f"1:{b64(1)},2:{b64(2)}")
    with open_platform(both) as platform:
        assert rotate_key_encryption(both, platform.subject_keys) == (2, 1)
    with open_platform(given(tmp_path, f"2:{b64(2)}")) as platform:
        assert platform.subject_keys.epoch() == 2


def test_a_rotation_that_broke_off_is_taken_up(settings: Settings) -> None:
    """A next key that a crash left unused is used, and an old one that it left is removed."""
    keys = load_keys(settings, may_create=True)
    with open_platform(settings) as platform:
        first = settings.keys / "key-encryption.key"
        old = first.read_bytes()
        left = settings.keys / "key-encryption-2.key"
        left.write_bytes(base64.b64encode(bytes(32)))
        assert rotate_key_encryption(settings, platform.subject_keys)[0] == 2
        first.write_bytes(old)
        assert rotate_key_encryption(settings, platform.subject_keys)[0] == 3
    assert [path.name for path in settings.keys.glob("key-enc*")] == ["key-encryption-3.key"]
    assert keys.key_encryption.keys() == {1}
