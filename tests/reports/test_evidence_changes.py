"""Bundles of a log whose key was changed, or whose data subjects were erased."""

import shutil
import sqlite3
from base64 import b64encode
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from reports.evidence import EvidenceRequest
from service.settings import Settings
from service.usecases.check_bundle import replay_bundle
from service.usecases.erase import erase_subject
from service.usecases.log_keys import recover_log, rotate_key
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.models import examples
from tests.reports import bundles
from tests.reports.bundles import Altered, failed_steps, run_alone

WHOLE = EvidenceRequest(reason=bundles.REASON, order_ids=("P-0", "P-1", "P-2", "none"))


def settings_of(folder: Path) -> Settings:
    return Settings(var=folder / "var", model_refresh_seconds=0, log_level="error")


def decide(platform: Platform, order_id: str, customer_id: str | None = None) -> str:
    customer = {"customer_id": customer_id, "recent_orders": [{"ordered": 10, "returned": 0}]}
    order = examples.order(order_id=order_id, customer=customer)
    return bundles.decide_order(platform, "parcel", order)


def record_days(settings: Settings, clock: bundles.Clock, days: range) -> str:
    """Decide one order a day."""
    with open_platform(settings, now=clock.now) as platform:
        for day in days:
            clock.moment = bundles.START + timedelta(days=day, hours=1)
            decide(platform, f"P-{day}")
        return platform.signer.verifier_key


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[str], Path]:
    """Return a log of six days under three keys, and a bundle of it all."""
    folder = tmp_path_factory.mktemp("rotated")
    settings, clock, keys = settings_of(folder), bundles.Clock(), []
    with open_platform(settings, now=clock.now) as platform:
        publish_small_model(platform)
    for part in range(3):
        keys.append(record_days(settings, clock, range(2 * part, 2 * part + 2)))
        if part < 2:
            with open_platform(settings, now=clock.now) as platform:
                rotate_key(platform, "test")
    bundles.export(settings, folder / "bundle.zip", WHOLE)
    return settings, keys, folder / "bundle.zip"


def test_every_key_of_a_rotated_log_leads_to_all_of_it(
    rotated: tuple[Settings, list[str], Path], tmp_path: Path
) -> None:
    """Whoever knows the first, the second or the newest key accepts the bundle; nobody else."""
    settings, keys, path = rotated
    assert len(set(keys)) == 3
    for key in keys:
        assert failed_steps(path, key) == set()
    assert run_alone(tmp_path, "--key", keys[0], str(path))[0] == 0
    assert run_alone(tmp_path, str(path))[0] == 3
    other = bundles.other_signer("candor.local/log").verifier_key
    assert "manifest" in failed_steps(path, other)
    # A range under one key, with both changes outside it.
    for days in ((0.5, 1.5), (2.5, 3.2), (4.5, 9)):
        first, last = (bundles.START + timedelta(days=day) for day in days)
        bundles.export(settings, tmp_path / "part.zip", EvidenceRequest(first, last))
        assert [failed_steps(tmp_path / "part.zip", key) for key in keys] == [set()] * 3


def test_the_chain_of_keys_cannot_be_altered(
    rotated: tuple[Settings, list[str], Path], tmp_path: Path
) -> None:
    """Not by whoever holds the newest key, nor by whoever invents one."""
    settings, keys, path = rotated
    signer = bundles.log_signer(settings)
    forger = bundles.other_signer(signer.origin)

    def drop(place: int) -> Any:  # noqa: ANN401 - an alteration
        return lambda rows: rows.pop(place)

    def forge(rows: list[dict[str, Any]]) -> None:
        header = orjson.loads(rows[-1]["header"])
        header["new_key"] = forger.verifier_key
        rows[-1]["header"] = orjson.dumps(header).decode()

    def swap(rows: list[dict[str, Any]]) -> None:
        rows.reverse()

    def elsewhere(rows: list[dict[str, Any]]) -> None:
        rows[0]["proof"][0] = b64encode(bytes(32)).decode()

    def no_change(rows: list[dict[str, Any]]) -> None:
        rows[0]["header"] = rows[0]["header"].replace("log-key-rotated", "decision")

    for change, by, expected in (
        (drop(0), signer, {"checkpoints"}),
        (drop(1), signer, {"manifest", "checkpoints"}),
        (forge, forger, {"manifest"}),
        (swap, signer, {"manifest"}),
        (no_change, signer, {"manifest"}),
        (elsewhere, signer, {"checkpoints"}),
    ):
        altered = Altered(path)
        altered.objects("keys.jsonl", change)
        altered.sign_again(by)
        found = failed_steps(altered.pack(tmp_path / "altered.zip"), keys[1])
        assert expected <= found, (change, found)
    # The key before the newest one signs nothing any more.
    resized = Altered(path)
    resized.objects("checkpoints.jsonl", lambda rows: rows[-1].update(tree_size=1))
    resized.sign_again(signer)
    assert "checkpoints" in failed_steps(resized.pack(tmp_path / "altered.zip"), keys[2])


@pytest.mark.sqlite("its file is copied back")
def test_after_a_recovery_only_the_new_key_vouches_for_the_log(tmp_path: Path) -> None:
    settings, clock = settings_of(tmp_path), bundles.Clock()
    with open_platform(settings, now=clock.now) as platform:
        publish_small_model(platform)
    old = record_days(settings, clock, range(2))
    shutil.copy(settings.var / "candor.db", tmp_path / "copy.db")
    record_days(settings, clock, range(2, 3))
    for left in settings.var.glob("candor.db*"):
        left.unlink()
    shutil.copy(tmp_path / "copy.db", settings.var / "candor.db")
    new = recover_log(settings, "test").verifier_key
    record_days(settings, clock, range(3, 5))
    path = tmp_path / "bundle.zip"
    bundles.export(settings, path, WHOLE)
    assert failed_steps(path, new) == set()
    assert "manifest" in failed_steps(path, old)
    with open_platform(settings, now=clock.now) as platform:
        _, newest = rotate_key(platform, "test")
    bundles.export(settings, path, WHOLE)
    assert [failed_steps(path, key) for key in (new, newest)] == [set(), set()]
    assert "manifest" in failed_steps(path, old)


def test_an_erased_part_is_gone_and_its_erasure_says_so(tmp_path: Path) -> None:
    """The bundle holds nothing of it, verifies, and replays; no other excuse is accepted."""
    settings, clock = settings_of(tmp_path), bundles.Clock()
    path = tmp_path / "bundle.zip"
    with open_platform(settings, now=clock.now) as platform:
        publish_small_model(platform)
        for number, customer in enumerate(("C-1", "C-2", "C-1")):
            clock.moment = bundles.START + timedelta(days=number, hours=1)
            bundles.override(platform, decide(platform, f"P-{number}", customer))
        clock.moment = bundles.START + timedelta(days=9)
        erase_subject(platform, "C-1", kind="subject", actor="test", reason="T-1")
        decide(platform, "P-9")
        key = platform.signer.verifier_key
    for end in (None, bundles.START + timedelta(days=4)):
        # With the erasure inside the range, and behind it.
        request = EvidenceRequest(to_at=end, order_ids=WHOLE.order_ids, reason=bundles.REASON)
        exported = bundles.export(settings, path, request)
        assert exported["orders"] == {"supplied": 4, "found": 1}
        rows = [orjson.loads(line) for line in Altered(path).files["personal.jsonl"].splitlines()]
        assert sum("erased_by" in row for row in rows) >= 2
        assert all(b"C-1" not in orjson.dumps(row) for row in rows)
        assert failed_steps(path, key) == set()
        code, printed = run_alone(tmp_path, "--key", key, str(path))
        assert (code, "were erased" in printed) == (0, True)
        replayed = replay_bundle(path, lambda _done, _total: None)
        assert replayed["replayed"] == replayed["identical"] == exported["decisions"]

    def blame(rows: list[dict[str, Any]]) -> None:
        place = next(row["erased_by"] for row in rows if "erased_by" in row)
        for number, row in enumerate(rows):
            rows[number] = {"leaf_index": row["leaf_index"], "erased_by": place}

    altered = Altered(path)
    altered.objects("personal.jsonl", blame)
    altered.sign_again(bundles.log_signer(settings))
    assert "personal" in failed_steps(altered.pack(tmp_path / "altered.zip"), key)


@pytest.mark.sqlite("its file is altered")
def test_a_part_that_is_damaged_is_no_erased_one(tmp_path: Path) -> None:
    """It is listed as missing, and the bundle says of itself that this is not as it should be."""
    settings, clock = settings_of(tmp_path), bundles.Clock()
    path = tmp_path / "bundle.zip"
    with open_platform(settings, now=clock.now) as platform:
        publish_small_model(platform)
        decide(platform, "P-0", "C-1")
        key = platform.signer.verifier_key
    with closing(sqlite3.connect(settings.var / "candor.db")) as raw:
        raw.execute("DROP TRIGGER personal_part_no_update")
        raw.execute("UPDATE personal_part SET sealed = substr(sealed, 1, length(sealed) - 1)")
        raw.commit()
    bundles.export(settings, path, WHOLE)
    assert failed_steps(path, key) == {"personal"}
