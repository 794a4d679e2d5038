"""Archiving by command, and a service that answers from the archive."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from audit.errors import DatabaseUrlError
from service.app import create_app
from service.auth import Role
from service.cli.application import application
from service.settings import Settings
from service.usecases.archive import archive_log
from service.usecases.keys import create_key
from service.wiring import open_platform
from tests.databases import SampleDatabase
from tests.reports import bundles
from tests.service.conftest import Headers
from tests.service.listed import publish_listed

ROOT = Path(__file__).parents[2]
OLD = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
both_databases = pytest.mark.both_databases
Run = Callable[..., Result]


@pytest.fixture
def keys(settings: Settings) -> dict[Role, str]:
    """Return keys of a log with three decisions of January 2026."""
    with open_platform(settings, now=lambda: OLD) as platform:
        publish_listed(platform)
        for number in range(3):
            bundles.decide(platform, f"P-{number}", stock=30.0 * number)
        return {role: create_key(platform, role.value, role, "test")[1] for role in Role}


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, database: SampleDatabase) -> Run:
    monkeypatch.setenv("CANDOR_DATABASE_URL", settings.database_url)
    if database.server is not None:
        monkeypatch.setenv("CANDOR_DATABASE_OWNER_URL", database.owner_url)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(application, [*arguments, "--var", str(settings.var)])

    return call


def read_all(client: TestClient, headers: Headers) -> list[dict[str, object]]:
    """Return all that the API says of the decisions: answer, facts, leaf, proof and replay."""
    asked = headers(Role.AUDITOR)
    listed = client.get("/v1/decisions", headers=asked).json()["decisions"]
    said: list[dict[str, object]] = [{"listed": listed}]
    for one in listed:
        path = f"/v1/decisions/{one['decision_id']}"
        got = [client.get(f"{path}{end}", headers=asked) for end in ("", "/facts", "/leaf")]
        got += [client.get(f"{path}/proof", headers=asked)]
        got += [client.post(f"{path}/replay", headers=asked)]
        assert [answer.status_code for answer in got] == [200] * 5
        assert got[0].json()["proof_status"]["status"] == "verified"
        assert got[4].json()["match"], got[4].text
        said.append({answer.url.path: answer.content for answer in got})
    return said


@both_databases
def test_released_decisions_are_answered_as_before(
    settings: Settings, keys: dict[Role, str], headers: Headers, run: Run, tmp_path: Path
) -> None:
    """Answers, proofs and replays are the same bytes; verify, replay and exports read on."""
    assert keys
    with TestClient(create_app(settings)) as client:
        before = read_all(client, headers)
        archived = orjson.loads(run("archive", "--json").stdout)
        [month] = archived["archived"]
        assert (month["month"], archived["released"]) == ("2026-01", [])
        # The months are over by the clock that stamps entries; the second run has nothing to do.
        assert "nothing is due" in run("archive").stdout
        # A service that runs sees the release at once.
        done = run("archive", "--release")
        assert done.exit_code == 0, done.stderr
        assert done.stdout.startswith("released  2026-01  3 entries")
        assert read_all(client, headers) == before
        told = client.get("/health/ready").json()["checks"]
        assert {"name": "archive", "ok": True, "detail": "1 months"} in told
    assert orjson.loads(run("verify", "--json").stdout)["problems"] == []
    replayed = orjson.loads(run("replay", "--json").stdout)
    assert (replayed["replayed"], replayed["identical"]) == (3, 3)
    out = tmp_path / "all.zip"
    exported = orjson.loads(
        run("export", "--out", str(out), "--personal", "--reason", "audit", "--json").stdout
    )
    assert exported["decisions"] == 3
    checked = CliRunner().invoke(application, ["verify", str(out), "--key", exported["key"]])
    assert checked.exit_code == 0, checked.stdout


@both_databases
def test_without_its_archive_a_service_says_so_and_decides(
    settings: Settings, keys: dict[Role, str], headers: Headers, run: Run
) -> None:
    assert keys
    assert run("archive", "--release").exit_code == 0
    shutil.rmtree(settings.var / "archive")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        ready = client.get("/health/ready")
        check = ready.json()["checks"][-1]
        assert (ready.status_code, check["name"], check["ok"]) == (200, "archive", False)
        listed = client.get("/v1/log/checkpoint")
        assert listed.status_code == 200
        answer = client.get("/v1/decisions", headers=headers(Role.AUDITOR))
        assert (answer.status_code, answer.json()["code"]) == (503, "archive-unavailable")
        assert answer.headers["Retry-After"]
    failed = run("verify", "--json")
    codes = [problem["code"] for problem in orjson.loads(failed.stdout)["problems"]]
    assert (failed.exit_code, codes[0]) == (1, "archive-file-missing")


def test_a_release_on_postgresql_needs_its_owner(settings: Settings, keys: dict[Role, str]) -> None:
    assert keys
    with open_platform(settings) as opened:
        url = {"database_url": "postgresql+psycopg://a@b/c"}
        platform = replace(opened, settings=settings.model_copy(update=url))
        with pytest.raises(DatabaseUrlError, match="OWNER_URL is not set"):
            archive_log(platform, actor="test", is_releasing=True)


def test_neither_pyarrow_nor_duckdb_is_in_the_serving_process(settings: Settings) -> None:
    """They are loaded when a record of a released month is asked for, not before."""
    with open_platform(settings, now=lambda: OLD) as platform:
        publish_listed(platform)
        bundles.decide(platform, "P-1", stock=30.0)
    command = [sys.executable, "-m", "service.cli", "archive", "--release"]
    subprocess.run(
        [*command, "--var", str(settings.var)], cwd=ROOT, check=True, capture_output=True
    )
    program = f"""
import sys
from pathlib import Path
import service.app
from audit.records import EntryType
from service.settings import Settings
from service.wiring import open_platform
loaded = lambda: [name for name in ("pyarrow", "duckdb", "fsspec", "pandas") if name in sys.modules]
with open_platform(Settings(var=Path({str(settings.var)!r}))) as platform:
    first = loaded()
    with platform.store.reading() as reading:
        assert reading.latest(EntryType.DECISION)[0].facts
    print(first, loaded())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[] ['pyarrow']"
