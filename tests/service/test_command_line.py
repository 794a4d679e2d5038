"""The command line in process: what it prints, and its exit codes."""

import csv
import random
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from service.cli.application import application
from service.cli.demo import _demo_keys
from service.settings import Settings
from service.usecases import replay as replay_usecase
from service.wiring import open_platform
from tests.conftest import publish_small_model
from tests.models import examples

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings) -> Run:
    """Return a function that runs `candor` on a store with a small live model."""
    with open_platform(settings) as platform:
        publish_small_model(platform)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(application, [*arguments, "--var", str(settings.var)])

    return call


@pytest.fixture
def order(tmp_path: Path) -> str:
    path = tmp_path / "order.json"
    path.write_bytes(examples.order())
    return str(path)


def test_a_decision_is_made_recorded_verified_and_replayed(
    run: Run, order: str, tmp_path: Path, settings: Settings
) -> None:
    """One JSON object on stdout each; the receipt verifies with no store at all."""
    decided = run("decide", order, "--kind", "parcel", "--json")
    answer = orjson.loads(decided.stdout)
    assert (decided.exit_code, answer["order_id"]) == (0, "P-1")
    verified = run("verify", "--json")
    report = orjson.loads(verified.stdout)
    assert (verified.exit_code, report["ok"], report["problems"]) == (0, True, [])
    assert report["tree_size"] == 2
    replayed = run("replay", "--sample", "5", "--json")
    assert orjson.loads(replayed.stdout) == {"replayed": 1, "identical": 1, "differences": []}

    saved, proof, leaf = tmp_path / "answer.json", tmp_path / "proof", tmp_path / "leaf"
    saved.write_text(decided.stdout, encoding="utf-8")
    proof.write_text(answer["receipt"]["proof"], encoding="utf-8")
    with open_platform(settings) as platform:
        key = platform.signer.verifier_key
        with platform.store.reading() as reading:
            leaf.write_bytes(reading.record(answer["decision_id"]).leaf)
    key_file = tmp_path / "key"
    key_file.write_text(f"{key}\n", encoding="utf-8")
    elsewhere = CliRunner()
    for given in (
        [str(saved), "--key", key],
        [str(proof), "--leaf", str(leaf), "--key", str(key_file)],
    ):
        away = ["--var", str(tmp_path / "nowhere"), "--json"]
        done = elsewhere.invoke(application, ["verify", "--receipt", *given, *away])
        assert done.exit_code == 0, done.stderr
        assert orjson.loads(done.stdout)["tree_size"] == 2
    assert not (tmp_path / "nowhere").exists()
    assert run("verify", "--receipt", str(proof)).exit_code == 0
    leaf.write_bytes(leaf.read_bytes().replace(b"parcel", b"parcem"))
    forged = run("verify", "--receipt", str(proof), "--leaf", str(leaf), "--key", key)
    assert (forged.exit_code, "proof-invalid" in forged.stderr) == (1, True)


def test_people_read_the_same(run: Run, order: str) -> None:
    printed = run("decide", order, "--kind", "parcel", "--lang", "en").stdout
    assert "outcome     review" in printed
    assert "4 left in stock" in printed
    assert run("verify").stdout.startswith("verified")
    assert run("replay").stdout == "1 replayed, 1 identical\n"


def test_a_changed_store_is_found(run: Run, order: str, settings: Settings) -> None:
    run("decide", order, "--kind", "parcel")
    with open_platform(settings) as platform, platform.store.writing() as writing:
        writing._connection.exec_driver_sql("DROP TRIGGER facts_part_no_update")
        writing._connection.exec_driver_sql("UPDATE facts_part SET body = x'00'")
    done = run("verify")
    assert done.exit_code == 1
    assert done.stdout.startswith("NOT as it was written")
    assert "leaf 1, entry " in done.stdout
    replayed = run("replay")
    assert (replayed.exit_code, "record-malformed" in replayed.stdout) == (1, True)


@pytest.mark.sqlite("a second log needs a second file")
def test_another_key_does_not_verify(run: Run, order: str, tmp_path: Path) -> None:
    run("decide", order, "--kind", "parcel")
    with open_platform(Settings(var=tmp_path / "other")) as platform:
        key = platform.signer.verifier_key
    done = run("verify", "--key", key, "--json")
    assert (done.exit_code, orjson.loads(done.stdout)["ok"]) == (1, False)


def test_keys_are_created_listed_and_revoked(run: Run, settings: Settings) -> None:
    made = orjson.loads(run("key", "create", "--name", "shop", "--role", "oms", "--json").stdout)
    assert set(made) == {"id", "key"}
    listed = orjson.loads(run("key", "list", "--json").stdout)["keys"]
    assert [(one["id"], one["role"], one["revoked_at"]) for one in listed] == [
        (made["id"], "oms", None)
    ]
    assert made["key"] not in run("key", "list").stdout
    assert made["id"] in run("key", "revoke", made["id"]).stdout
    assert "revoked 20" in run("key", "list").stdout
    again = orjson.loads(run("key", "revoke", made["id"], "--json").stdout)
    assert again["revoked_at"] is not None
    unknown = run("key", "revoke", "nobody")
    assert (unknown.exit_code, "api-key-not-found" in unknown.stderr) == (1, True)
    shown = run("key", "create", "--name", "shop", "--role", "auditor").stdout
    secret = shown.split("key  ")[1].strip()
    with open_platform(settings) as platform:
        assert platform.api_keys.find_principal(secret) is not None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["decide", "no such file", "--kind", "parcel"], 2),
        (["train"], 2),
        (["train", "admission", "--csv", "x"], 2),
        (["train", "--kind", "x"], 2),
        (["key", "create", "--name", "x", "--role", "king"], 2),
        (["replay", "--sample", "0"], 2),
        (["nonsense"], 2),
        (["verify", "--receipt", __file__], 1),
        (["train", "nonsense"], 1),
        (["train", "--kind", "no such file", "--csv", "x"], 1),
    ],
)
def test_exit_codes(run: Run, arguments: list[str], code: int) -> None:
    done = run(*arguments)
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    assert done.stderr != ""


def test_wrong_keys_and_receipts_are_usage_or_failure(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "receipt.json"
    empty.write_text('{"receipt": {}}', encoding="utf-8")
    assert run("verify", "--receipt", str(empty), "--key", "no such key").exit_code == 2
    assert run("verify", "--receipt", str(empty)).exit_code == 1


def test_a_malformed_order_names_its_faults(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    path.write_bytes(examples.order(stock="x"))
    done = run("decide", str(path), "--kind", "parcel")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "/stock: " in done.stderr


def test_what_is_not_there_is_not_checked(tmp_path: Path) -> None:
    for command in ("verify", "replay"):
        given = [command, "--var", str(tmp_path / "none")]
        done = CliRunner().invoke(application, given)
        assert (done.exit_code, "there is no store" in done.stderr) == (1, True)
    assert not (tmp_path / "none").exists()


def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANDOR_PORT", "many")
    monkeypatch.setenv("CANDOR_VAR", str(tmp_path))
    done = run("verify")
    assert (done.exit_code, "CANDOR_port" in done.stderr) == (1, True)


def test_a_replay_that_differs_ends_with_1(
    run: Run, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("decide", order, "--kind", "parcel")
    difference = {"decision_id": "d", "path": "/outcome", "recorded": "a", "replayed": "b"}
    monkeypatch.setattr(
        replay_usecase, "list_differences", lambda *_given: [{**difference, "cause": "numpy"}]
    )
    done = run("replay")
    assert (done.exit_code, "d /outcome: numpy" in done.stdout) == (1, True)


def test_demo_keys_are_private_and_kept(settings: Settings) -> None:
    with open_platform(settings) as platform:
        first = _demo_keys(platform)
        assert _demo_keys(platform) == first
    path = settings.var / "demo-keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def write_parcels(folder: Path, rows: int) -> tuple[str, str]:
    """Write a kind that reads a CSV, and a CSV whose label follows from stock and returns."""
    kind, table = folder / "parcel_csv.toml", folder / "parcels.csv"
    document = (Path(__file__).parent / "parcel_csv.toml").read_text(encoding="utf-8")
    assert tomllib.loads(document)
    kind.write_text(document, encoding="utf-8")
    chance = random.Random(5)  # noqa: S311 - a draw, not a secret
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "day", "stock", "weight", "late"])
        for number in range(rows):
            stock, weight = chance.random() * 100, chance.random()
            late = chance.random() < (0.9 if stock < 40 and abs(weight - 0.5) < 0.3 else 0.1)
            day = f"2026-{1 + number * 12 // rows:02}-01"
            writer.writerow([f"R{number}", day, f"{stock:.2f}", f"{weight:.3f}", int(late)])
    return str(kind), str(table)


def test_a_kind_learns_from_a_table_and_its_first_version_is_published(
    run: Run, tmp_path: Path
) -> None:
    """No code for the kind: file and table in, a live model out; the second is only registered."""
    kind, table = write_parcels(tmp_path, 4000)
    first = run("train", "--kind", kind, "--csv", table, "--json")
    assert first.exit_code == 0, first.stderr
    trained = orjson.loads(first.stdout)
    assert (trained["name"], trained["version"], trained["published"]) == ("parcel_csv", "1", True)
    assert trained["metrics"]["auc"] > 0.8
    second = run("train", "--kind", kind, "--csv", table)
    assert second.exit_code == 0
    assert "registered, not published" in second.stdout
    path = tmp_path / "order.json"
    path.write_text('{"order_id": "R1", "stock": 3.0, "weight": 0.9}', encoding="utf-8")
    answer = orjson.loads(run("decide", str(path), "--kind", "parcel_csv", "--json").stdout)
    assert answer["model"]["version"] == "1"
    assert answer["model"]["bundle"] == trained["bundle"]
