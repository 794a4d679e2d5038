"""What another day's lists would have said: decided again from the sealed order."""

import dataclasses
from datetime import UTC, datetime
from functools import partial

import orjson
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from audit.errors import RecordNotFoundError
from audit.records import Entry, EntryType
from models.domain import Json
from models.errors import ReferenceCorruptError
from service.api import schemas
from service.auth import Role
from service.cli.application import application
from service.errors import AsOfUnavailableError
from service.reference_versions import Origin
from service.settings import Settings
from service.usecases.as_of import OtherLists, replay_as_of, replay_record_as_of
from service.usecases.records import find_decision
from service.usecases.references import load_version
from service.usecases.replay import replay_sample
from service.wiring import Platform, open_platform
from tests.models import examples
from tests.service.conftest import Headers
from tests.service.listed import destinations, publish_listed, table

NAME = "sanctioned_destinations"
FIRST = "sha256:"


def accepted_order(**changes: object) -> bytes:
    steady = {"recent_orders": [{"ordered": 10, "returned": 0}]}
    return examples.order(stock=180.0, country="SG", customer=steady, **changes)


@pytest.fixture
def decided(client: TestClient, headers: Headers, served: Platform) -> dict[str, object]:
    """Return an accepted order to SG, decided under the built-in list, which a later one names."""
    publish_listed(served)
    order = accepted_order(name="Ann Lee")
    answer = client.post("/v1/decisions/listed", content=order, headers=headers()).json()
    assert answer["outcome"] == "accept"
    loaded = client.post("/v1/references", json=destinations("SG"), headers=headers(Role.ADMIN))
    assert loaded.status_code == 201
    return {
        "id": answer["decision_id"],
        "decided_at": answer["decided_at"],
        "loaded_at": loaded.json()["recorded_at"],
        "digest": loaded.json()["digest"],
    }


def replay(client: TestClient, headers: Headers, decision: object, body: object) -> schemas.Replay:
    answer = client.post(
        f"/v1/decisions/{decision}/replay", json=body, headers=headers(Role.AUDITOR)
    )
    assert answer.status_code == 200, answer.text
    return schemas.Replay.model_validate(answer.json())


def test_today_s_list_would_have_said_otherwise(
    client: TestClient, headers: Headers, decided: dict[str, object]
) -> None:
    found = replay(client, headers, decided["id"], {"as_of": decided["loaded_at"]})
    assert (found.match, found.recorded["outcome"], found.replayed["outcome"]) == (
        False,
        "accept",
        "reject",
    )
    told = {one.path: (one.recorded, one.replayed) for one in found.differences}
    assert told["/context/destination_entry"] == (None, "D-SG")
    assert told["/outcome"] == ("accept", "reject")
    assert found.references is not None
    versions = {one.name: one for one in found.references}
    then, now = versions[NAME].recorded, versions[NAME].replayed
    assert then is not None
    assert now.digest == decided["digest"] != then.digest
    assert [(one.factor, one.part) for one in found.causes] == [("reference version", NAME)]
    assert found.cause == (
        f"参考表版本 (reference version): {NAME}: 记录为 {then.digest}, 重放为 {now.digest}"
    )
    assert versions["sanctioned_parties"].recorded == versions["sanctioned_parties"].replayed


def test_the_day_s_own_list_says_the_same(
    client: TestClient, headers: Headers, decided: dict[str, object]
) -> None:
    bodies: list[dict[str, object]] = [{"as_of": decided["decided_at"]}, {}, {"references": {}}]
    for body in bodies:
        found = replay(client, headers, decided["id"], body)
        assert (found.match, found.differences, found.cause) == (True, [], None)


def test_a_list_that_says_the_same_of_the_order_is_no_difference(
    client: TestClient, headers: Headers, decided: dict[str, object]
) -> None:
    """Which versions were asked is told apart from what they changed."""
    made = destinations("JP", as_of="2026-03-01T00:00:00Z", staleness_days=None)
    digest = client.post("/v1/references", json=made, headers=headers(Role.ADMIN)).json()["digest"]
    found = replay(client, headers, decided["id"], {"references": {NAME: digest}})
    assert (found.match, found.differences, found.cause) == (True, [], None)
    assert found.references is not None
    assert [one.replayed.digest for one in found.references if one.name == NAME] == [digest]


def test_one_list_may_be_chosen_by_its_digest(
    client: TestClient, headers: Headers, decided: dict[str, object]
) -> None:
    body = {"references": {NAME: decided["digest"]}}
    assert replay(client, headers, decided["id"], body).replayed["outcome"] == "reject"
    both = {**body, "as_of": decided["decided_at"]}
    assert replay(client, headers, decided["id"], both).replayed["outcome"] == "reject"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed-json"),
        (b'{"as_of": "yesterday"}', 422, "request-invalid"),
        (b'{"as_of": "2026-02-01T00:00:00"}', 422, "request-invalid"),
        (b'{"as_of": "2020-01-01T00:00:00Z"}', 404, "reference-not-found"),
        (b'{"when": "2026-02-01T00:00:00Z"}', 422, "request-invalid"),
        (b'{"references": {"sanctioned_destinations": "../x"}}', 422, "request-invalid"),
        (
            orjson.dumps({"references": {NAME: FIRST + "0" * 64}}),
            404,
            "reference-not-found",
        ),
        (orjson.dumps({"references": {"hs": FIRST + "0" * 64}}), 422, "request-invalid"),
    ],
)
def test_what_cannot_be_asked(
    *,
    client: TestClient,
    headers: Headers,
    decided: dict[str, object],
    body: bytes,
    status: int,
    code: str,
) -> None:
    path = f"/v1/decisions/{decided['id']}/replay"
    answer = client.post(path, content=body, headers=headers(Role.AUDITOR))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_without_its_order_other_lists_cannot_be_asked(
    served: Platform, decided: dict[str, object]
) -> None:
    record = find_decision(served, str(decided["id"]))
    lists = OtherLists(datetime.now(UTC))
    with pytest.raises(AsOfUnavailableError, match="no longer be opened"):
        replay_record_as_of(served, dataclasses.replace(record, sealed=None), lists)
    with pytest.raises(RecordNotFoundError):
        replay_record_as_of(served, dataclasses.replace(record, facts=None), lists)


def test_a_decision_of_a_form_without_tables_has_no_other_lists(served: Platform) -> None:
    header: dict[str, Json] = {
        "kind": "node",
        "model": {"name": "node", "version": "1", "bundle": "sha256:00"},
        "confidence": 0.5,
    }
    facts: dict[str, Json] = {
        "version": 2,
        "form": "outside",
        "features": {"stock": 1.0},
        "outcome": "accept",
    }
    now = datetime.now(UTC)
    entry = Entry("odd", EntryType.DECISION, now, header, facts=facts, personal=b"{}")
    served.writer.record_one(entry)
    with pytest.raises(AsOfUnavailableError, match="of this form"):
        replay_as_of(served, "odd", OtherLists(now))
    # In a sample it is replayed as it is: these facts are nobody's.
    result = replay_sample(
        served, 1, 1, lambda *_step: None, partial(replay_record_as_of, lists=OtherLists(now))
    )
    assert "as-of-unavailable" not in str(result["differences"])
    assert result["replayed"] == 1


def test_a_plain_replay_also_asks_the_tables_that_are_still_there(
    served: Platform, decided: dict[str, object]
) -> None:
    """Without them the record's own words are taken; altered ones are an error, not a match."""

    def run() -> list[object]:
        served.references._lookups.clear()
        result = replay_sample(served, 5, 1, lambda *_step: None)
        differences = result["differences"]
        assert isinstance(differences, list)
        return [*differences]

    assert decided["id"]
    assert run() == []
    folder = served.settings.references
    contents = {path: path.read_bytes() for path in folder.iterdir()}
    for path in contents:
        path.write_bytes(b"{}")
    assert "reference version: sanctioned_destinations: sha256:" in str(run())
    for path in contents:
        path.unlink()
    assert run() == []
    with pytest.raises(ReferenceCorruptError):
        replay_as_of(served, str(decided["id"]), OtherLists(datetime.now(UTC)))


@pytest.fixture
def told(settings: Settings) -> dict[str, str]:
    """Return the id of an accepted order to SG, and times before and after its listing."""
    with open_platform(settings) as platform:
        publish_listed(platform)
    order = settings.var.parent / "order.json"
    order.write_bytes(accepted_order())
    decided = run(settings, "decide", str(order), "--kind", "listed", "--json")
    before = datetime.now(UTC).isoformat()
    with open_platform(settings) as platform:
        load_version(platform, table("SG"), actor="test", origin=Origin.FILE)
    answer = orjson.loads(decided.stdout)
    return {"id": answer["decision_id"], "before": before, "after": datetime.now(UTC).isoformat()}


def run(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(application, [*arguments, "--var", str(settings.var)])


def test_by_command_one_decision(settings: Settings, told: dict[str, str]) -> None:
    then = run(settings, "replay", told["id"], "--as-of", told["before"])
    assert (then.exit_code, "identical" in then.stdout) == (0, True)
    now = run(settings, "replay", told["id"], "--as-of", told["after"])
    assert now.exit_code == 1
    assert "recorded  accept\nreplayed  reject\n参考表版本 (reference version): " in now.stdout
    assert "  /outcome: accept was recorded, reject replays\n" in now.stdout
    plain = run(settings, "replay", told["id"], "--json")
    assert (plain.exit_code, orjson.loads(plain.stdout)["match"]) == (0, True)


def test_by_command_a_sample(settings: Settings, told: dict[str, str]) -> None:
    then = run(settings, "replay", "--sample", "9", "--as-of", told["before"], "--json")
    assert orjson.loads(then.stdout) == {"replayed": 1, "identical": 1, "differences": []}
    now = run(settings, "replay", "--as-of", told["after"])
    assert (now.exit_code, now.stdout.startswith("1 replayed, 0 identical\n")) == (1, True)
    naive = run(settings, "replay", "--as-of", "2020-01-01T00:00:00")
    assert (naive.exit_code, "reference-not-found" in naive.stdout) == (1, True)
    assert run(settings, "replay", "--as-of", "yesterday").exit_code == 2
