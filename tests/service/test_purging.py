"""`candor purge`: what the command says, and what callers see of a purged record afterwards."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.answers import JsonObject
from service.api.schemas import SearchPage
from service.auth import Role
from service.cli.application import application
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.records import read_object
from service.wiring import open_platform
from tests.conftest import publish_small_model
from tests.databases import SampleDatabase
from tests.models import examples
from tests.reports.bundles import decide_order, override
from tests.service.conftest import Headers

LONG_AGO = datetime(2022, 3, 1, tzinfo=UTC)
LATELY = datetime(2026, 10, 1, tzinfo=UTC)
pytestmark = pytest.mark.both_databases


@pytest.fixture
def keys(settings: Settings) -> dict[Role, str]:
    """Return keys of a log that began long ago: no entry of it is older than the one before."""
    with open_platform(settings, now=lambda: LONG_AGO) as platform:
        publish_small_model(platform)
        return {role: create_key(platform, role.value, role, "test")[1] for role in Role}


@pytest.fixture
def aged(
    settings: Settings,
    keys: dict[Role, str],
    database: SampleDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Return the ids of a decision of long ago, overridden then, and of one of lately."""
    assert keys
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
    aged: list[str], client: TestClient, headers: Headers
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
    aged: list[str], client: TestClient, database: SampleDatabase
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


def test_what_is_archived_is_purged_too(
    client: TestClient, headers: Headers, aged: list[str], tmp_path: Path
) -> None:
    """Every answer is as without an archive, and a bundle names the purged record."""
    old, _ = aged
    auditor = headers(Role.AUDITOR)
    assert run("archive", "--release")["released"]
    assert client.get(f"/v1/decisions/{old}", headers=auditor).status_code == 200
    assert run("verify")["ok"]
    done = run("purge")
    assert (done["records"], done["away"]) == ({"decision": 1, "override": 1}, 0)
    files = read_object(done["archive"])
    assert files["left"] == []
    assert [files["replaced"], files["removed"]] != [0, 0]
    assert (run("verify")["ok"], run("verify")["purged"]) == (True, 2)
    for path in ("", "/facts", "/replay"):
        ask = client.post if path == "/replay" else client.get
        answer = ask(f"/v1/decisions/{old}{path}", headers=auditor)
        assert (answer.status_code, answer.json()["code"]) == (410, "record-purged")
    page = SearchPage.model_validate(client.get("/v1/decisions", headers=auditor).json())
    assert [one.purged for one in page.decisions if one.decision_id == old] == [True]
    assert run("replay", "--sample", "10")["replayed"] == 1
    out = tmp_path / "all.zip"
    exported = run("export", "--out", str(out))
    told = CliRunner().invoke(application, ["verify", str(out), "--key", str(exported["key"])])
    assert told.exit_code == 0, told.output
    assert "were purged when their retention had ended" in told.output


def test_an_archive_file_that_is_not_the_logs_is_left_and_told(
    settings: Settings, aged: list[str]
) -> None:
    assert aged
    assert run("archive")["archived"]
    for path in (settings.var / "archive").rglob("*.parquet"):
        path.write_bytes(path.read_bytes() + b"more")
    told = CliRunner().invoke(application, ["purge"])
    assert told.exit_code == 0
    assert "is not the archive file that was logged: run `candor verify`" in told.stdout
