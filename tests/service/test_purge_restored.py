"""A backup from before a purge, put back: it is refused, and purged again once it is recovered."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from audit.errors import LogRolledBackError
from service.answers import JsonObject
from service.auth import Role
from service.cli.application import application
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.records import find_decision
from service.wiring import open_platform
from tests.conftest import publish_small_model
from tests.models import examples
from tests.reports.bundles import decide_order

pytestmark = pytest.mark.sqlite("its file is copied back")
LONG_AGO = datetime(2022, 3, 1, tzinfo=UTC)


@pytest.fixture
def aged(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of a decision of long ago."""
    monkeypatch.setenv("CANDOR_VAR", str(settings.var))
    with open_platform(settings, now=lambda: LONG_AGO) as platform:
        publish_small_model(platform)
        return decide_order(platform, "parcel", examples.order(order_id="P-1"))


def run(*arguments: str) -> JsonObject:
    done = CliRunner().invoke(application, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    said: JsonObject = orjson.loads(done.stdout)
    return said


@pytest.mark.parametrize("is_archived", [False, True])
def test_a_backup_from_before_a_purge_is_refused_and_purged_again(
    settings: Settings, aged: str, tmp_path: Path, *, is_archived: bool
) -> None:
    """The checkpoint kept outside knows more; what is recovered is purged as before."""
    if is_archived:
        run("archive", "--release")
    folders = ["candor.db", *(["archive"] if is_archived else [])]
    for name in folders:
        copy(settings.var / name, tmp_path / "backup" / name)
    assert run("purge")["records"] == {"decision": 1}
    for left in settings.var.glob("candor.db-*"):
        left.unlink()
    for name in folders:
        copy(tmp_path / "backup" / name, settings.var / name)
    with open_platform(settings) as platform, pytest.raises(LogRolledBackError):
        create_key(platform, "more", Role.OMS, "test")
    refused = CliRunner().invoke(application, ["purge"])
    assert refused.exit_code == 1
    assert "candor recover" in refused.output
    run("recover", "--confirm")
    with open_platform(settings) as platform:
        assert find_decision(platform, aged).facts is not None
    assert run("purge")["records"] == {"decision": 1}
    assert (run("verify")["ok"], run("verify")["purged"]) == (True, 1)
    assert run("purge")["records"] == {}


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder in the place of another."""
    target.parent.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
