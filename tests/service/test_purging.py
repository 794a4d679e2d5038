"""`candor purge`: what the command says, and what callers see of a purged record afterwards."""

from datetime import UTC, datetime

import orjson
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.answers import JsonObject
from service.api.schemas import SearchPage
from service.auth import Role
from service.cli.application import application
from service.settings import Settings
from service.wiring import open_platform
from tests.databases import SampleDatabase
from tests.models import examples
from tests.reports.bundles import decide_order, override
from tests.service.conftest import Headers

LONG_AGO = datetime(2022, 3, 1, tzinfo=UTC)
LATELY = datetime(2026, 10, 1, tzinfo=UTC)
pytestmark = pytest.mark.both_databases


@pytest.fixture
def aged(
    settings: Settings,
    client: TestClient,
    database: SampleDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Return the ids of a decision of long ago, overridden then, and of one of lately."""
    assert client
    monkeypatch.setenv("CANDOR_VAR", str(settings.var))
    monkeypatch.setenv("CANDOR_DATABASE_URL", settings.database_url)
    if database.server is not None:
        monkeypatch.setenv("CANDOR_DATABASE_OWNER_URL", database.owner_url)
    ids = []
    for moment in (LONG_AGO, LATELY):
        with open_platform(settings, now=lambda at=moment: at) as platform:  # type: ignore[misc]  # mypy cannot infer a lambda's default
            order = examples.order(order_id=f"P-{moment.year}")
            ids.append(decide_order(platform, "parcel", order))
            if moment == LONG_AGO:
                override(platform, ids[0])
    return ids


def run(*arguments: str) -> JsonObject:
    done = CliRunner().invoke(application, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    said: JsonObject = orjson.loads(done.stdout)
    return said


def test_the_command_says_what_goes_and_what_went(aged: list[str]) -> None:
    assert len(aged) == 2
    due = run("purge", "--dry-run")
    assert due["trial"] is True
    assert due["records"] == {"decision": 1, "override": 1}
    assert due["entries"] == []
    told = CliRunner().invoke(application, ["purge", "--dry-run"]).stdout
    assert "due      1 decision, 1 override" in told
    done = run("purge")
    assert done["decisions"] == {"parcel": 1}
    assert done["keys"] == 1
    verified = run("verify")
    assert (verified["ok"], verified["purged"]) == (True, 2)
    assert "no records" in CliRunner().invoke(application, ["purge"]).stdout


def test_of_a_purged_record_header_and_proof_are_left(
    client: TestClient, headers: Headers, aged: list[str]
) -> None:
    """Where facts would be needed the answer is 410 and names the purge; the rest goes on."""
    entries = run("purge")["entries"]
    assert isinstance(entries, list)
    [entry_id] = entries
    old, new = aged
    auditor, content = headers(Role.AUDITOR), {"Content-Type": "application/json"}
    refused = [
        client.get(f"/v1/decisions/{old}", headers=auditor),
        client.get(f"/v1/decisions/{old}/facts", headers=auditor),
        client.post(f"/v1/decisions/{old}/replay", headers=auditor),
        client.post(
            f"/v1/decisions/{old}/override",
            headers=headers(Role.OPERATOR) | content,
            json={"outcome": "accept", "reason_code": "X", "comment": ""},
        ),
        client.post(
            f"/v1/decisions/{old}/outcome",
            headers=headers(Role.OMS) | content,
            json={"label": "x", "observed_at": "2026-03-20T09:00:00Z"},
        ),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (410, "record-purged")
        assert f"says entry {entry_id}" in answer.json()["detail"]
    for kept in ("proof", "leaf"):
        assert client.get(f"/v1/decisions/{old}/{kept}", headers=auditor).status_code == 200
    assert client.get(f"/v1/decisions/{new}", headers=auditor).status_code == 200
    page = SearchPage.model_validate(client.get("/v1/decisions", headers=auditor).json())
    found = {one.decision_id: one for one in page.decisions}
    assert (found[old].purged, found[old].outcome, found[old].order_id) == (True, None, None)
    assert (found[old].erased, found[old].awaits_review) == (False, False)
    assert (found[new].purged, found[new].order_id) == (False, "P-2026")
    events = client.get("/v1/events", headers=headers(Role.OMS))
    assert events.status_code == 200
    assert run("replay", "--sample", "10")["replayed"] == 1


def test_partitions_are_made_ahead_and_asked_after(
    client: TestClient, aged: list[str], database: SampleDatabase
) -> None:
    """What fell into the default partition is a warning, until it is moved."""
    assert aged
    if database.server is None:
        assert run("database", "partitions") == {"made": []}
        assert run("database", "check") == {"ok": True, "warnings": []}
        return
    warnings = str(run("database", "check")["warnings"])
    assert "facts_part has no partition for" in warnings
    assert "personal_part has rows in its default partition" in warnings
    checks = client.get("/health/ready").json()["checks"]
    [told] = [check for check in checks if check["name"] == "partitions"]
    assert told["ok"]
    assert "warning" in told["detail"]
    assert (
        "run `candor database partitions`"
        in CliRunner().invoke(application, ["database", "check"]).stdout
    )
    made = run("database", "partitions")["made"]
    assert isinstance(made, list)
    # This month and twelve more, and the two that the old records are of.
    assert len(made) == 2 * 15
    assert "facts_part_2022_03" in made
    assert run("database", "partitions") == {"made": []}
    assert run("database", "check") == {"ok": True, "warnings": []}
    assert run("verify")["ok"]
    dropped = run("purge")["partitions"]
    assert dropped == ["facts_part_2022_03", "personal_part_2022_03"]
    assert run("verify")["ok"]
