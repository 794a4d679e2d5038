"""`candor database`: schema and rights, by the owner's URL, told in a sentence when refused."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from audit.schema import HEAD
from audit.store import open_store
from service.cli.application import application
from service.settings import Settings
from service.wiring import open_platform
from tests.postgres import OWNER, SERVICE, PostgresServer


@pytest.mark.parametrize("command", ["init", "migrate"])
def test_an_empty_database_is_made_ready(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """After it a service starts, and it may be run again."""
    name = postgres_server.make_database(prepared=False)
    monkeypatch.setenv("CANDOR_DATABASE_URL", postgres_server.url(name))
    monkeypatch.setenv("CANDOR_DATABASE_OWNER_URL", postgres_server.url(name, OWNER))
    for _ in range(2):
        done = CliRunner().invoke(application, ["database", command, "--json"])
        assert (done.exit_code, orjson.loads(done.stdout)) == (0, {"revision": HEAD})
    with open_platform(Settings(var=tmp_path / "var")) as platform:
        assert platform.api_keys.list_all() == []
    verified = CliRunner().invoke(application, ["verify", "--json", "--var", str(tmp_path / "var")])
    assert orjson.loads(verified.stdout)["ok"]
    postgres_server.drop_database(name)


@pytest.mark.parametrize(
    ("url", "owner", "said"),
    [
        ("postgresql+psycopg://candor@/x", None, "CANDOR_DATABASE_OWNER_URL is not set"),
        ("postgresql+psycopg:///x", "postgresql+psycopg://o@/x", "names no database user"),
        ("postgresql+psycopg://candor@/x", "sqlite:///x", "the owner's URL is not"),
        ("postgresql+psycopg://one@/x", "postgresql+psycopg://one@/x", "also the service's user"),
    ],
)
def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, url: str, owner: str | None, said: str
) -> None:
    monkeypatch.setenv("CANDOR_DATABASE_URL", url)
    if owner is not None:
        monkeypatch.setenv("CANDOR_DATABASE_OWNER_URL", owner)
    done = CliRunner().invoke(application, ["database", "init"])
    assert done.exit_code == 1
    assert said in done.stderr


def test_an_owner_who_may_not_is_told_so(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgres_server.make_database(prepared=False)
    monkeypatch.setenv("CANDOR_DATABASE_URL", postgres_server.url(name, "postgres"))
    monkeypatch.setenv("CANDOR_DATABASE_OWNER_URL", postgres_server.url(name, SERVICE))
    done = CliRunner().invoke(application, ["database", "init"])
    assert done.exit_code == 1
    assert "permission denied" in done.stderr
    postgres_server.drop_database(name)


@pytest.mark.sqlite("its file is made")
def test_an_sqlite_store_is_made_and_brought_up_to_date(tmp_path: Path) -> None:
    var = tmp_path / "var"
    done = CliRunner().invoke(application, ["database", "migrate", "--var", str(var)])
    assert (done.exit_code, done.stdout) == (0, f"schema revision {HEAD}\n")
    assert (var / "candor.db").is_file()
    open_store(f"sqlite:///{var / 'candor.db'}").close()
