"""Evidence by command: exported, verified, replayed from what the bundle holds."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from reports.errors import BundleUnreadableError
from service.cli.application import application
from service.settings import Settings
from service.usecases.check_bundle import replay_bundle
from service.wiring import open_platform
from tests.models.split import examples as split_examples
from tests.reports import bundles
from tests.reports.bundles import Altered
from tests.service.listed import publish_listed
from tests.splits import EXAMPLES, publish_split

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings) -> Run:
    """Return a function that runs `candor` on a log with decisions of two kinds."""
    with open_platform(settings) as platform:
        publish_listed(platform)
        publish_split(platform)
        for number in range(3):
            bundles.decide(platform, f"P-{number}", stock=30.0 * number)
        for name in EXAMPLES[:2]:
            bundles.decide_order(platform, "split", split_examples.example_order(name))

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(application, list(arguments))

    return call


def test_a_bundle_is_exported_verified_and_replayed(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    """Every decision comes out bit for bit from the bundle's own models, tables and orders."""
    out, orders = tmp_path / "all.zip", tmp_path / "orders"
    orders.write_text("P-0\n\nP-9\n", encoding="utf-8")
    told = ["--var", str(settings.var), "--orders", str(orders), "--personal", "--reason", "audit"]
    done = run("export", "--out", str(out), *told, "--json")
    exported = orjson.loads(done.stdout)
    assert (done.exit_code, exported["decisions"]) == (0, 5)
    assert exported["orders"] == {"supplied": 2, "found": 1}
    checked = run("verify", str(out), "--key", exported["key"], "--replay", "--json")
    result = orjson.loads(checked.stdout)
    assert (checked.exit_code, result["ok"], result["problems"]) == (0, True, [])
    assert result["replay"] == {"replayed": 5, "identical": 5, "differences": []}
    unknown = run("verify", str(out), "--replay")
    assert (unknown.exit_code, "5 replayed, 5 identical" in unknown.stdout) == (3, True)
    assert "consistent, signer not authenticated" in unknown.stdout


def test_people_read_what_was_exported(run: Run, settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "some.zip"
    ids = tmp_path / "ids"
    with open_platform(settings) as platform:
        ids.write_text(bundles.decide(platform, "P-7") + "\n", encoding="utf-8")
    var = ["--var", str(settings.var)]
    done = run("export", "--out", str(out), "--decisions", str(ids), *var)
    assert (done.exit_code, "1 decisions" in done.stdout) == (0, True)
    period = ["--from", "2026-01-01", "--to", "2100-01-01T00:00:00Z", "--kind", "listed"]
    assert run("export", "--out", str(out), *period, *var).exit_code == 0


def test_an_altered_bundle_is_not_replayed(run: Run, settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "all.zip"
    run("export", "--out", str(out), "--var", str(settings.var))
    altered = Altered(out)
    altered.edit("facts.jsonl", b'"outcome":"', b'"outcome":"x')
    packed = str(altered.pack(tmp_path / "altered.zip"))
    done = run("verify", packed, "--replay")
    assert (done.exit_code, "FAIL" in done.stdout, "replayed" in done.stdout) == (1, True, False)


def test_a_replay_names_what_comes_out_otherwise(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    """Facts that were never recorded so do not replay, nor do decisions without their model."""
    out = tmp_path / "all.zip"
    run("export", "--out", str(out), "--var", str(settings.var), "--kind", "listed")
    altered = Altered(out)
    altered.edit("facts.jsonl", b'"outcome":"', b'"outcome":"x')
    altered.sign_again(bundles.log_signer(settings))
    found = replay_bundle(altered.pack(tmp_path / "altered.zip"), lambda _done, _total: None)
    assert (found["replayed"], found["identical"]) == (3, 2)
    bare = Altered(out)
    for name in [name for name in bare.files if name.startswith("bundles/")]:
        del bare.files[name]
    missing = replay_bundle(bare.pack(tmp_path / "bare.zip"), lambda _done, _total: None)
    differences = missing["differences"]
    assert isinstance(differences, list)
    assert [one["cause"] for one in differences if isinstance(one, dict)] == ["bundle-corrupt"] * 3
    tables = Altered(out)
    for name in [name for name in tables.files if name.startswith("references/")]:
        del tables.files[name]
    taken = replay_bundle(tables.pack(tmp_path / "tables.zip"), lambda _done, _total: None)
    assert taken["identical"] == 3
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(BundleUnreadableError):
        replay_bundle(tmp_path / "empty.zip", lambda _done, _total: None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--out", "x.zip", "--personal"],
        ["export", "--out", "x.zip", "--reason", "audit"],
        ["export", "--out", "nowhere/at/all/x.zip"],
        ["export", "--out", "x.zip", "--from", "yesterday"],
        ["export", "--out", "x.zip", "--orders", "{binary}"],
        ["verify", "--replay"],
        ["verify", "{binary}", "--receipt", "{binary}"],
    ],
)
def test_wrong_usage(arguments: list[str], settings: Settings, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    given = [one.format(binary=binary) for one in arguments]
    with open_platform(settings):
        pass
    done = CliRunner().invoke(application, [*given, "--var", str(settings.var)])
    assert done.exit_code == 2, done.output


def test_an_export_of_what_is_not_there_says_so(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    ids = tmp_path / "ids"
    ids.write_text("nothing\n", encoding="utf-8")
    out = tmp_path / "x.zip"
    var = ["--var", str(settings.var)]
    done = run("export", "--out", str(out), "--decisions", str(ids), *var)
    assert (done.exit_code, "evidence-request-invalid" in done.stderr) == (1, True)
    assert not out.exists()
