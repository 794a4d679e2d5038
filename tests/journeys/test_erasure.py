"""People who were there, and of whom nothing is left: canary values in a running platform."""

import shutil
from pathlib import Path

import pytest

from audit.log import read_receipt
from audit.receipt import verify_receipt
from audit.verify import verify_store
from service.settings import Settings
from service.usecases.decide import decide_lines
from service.usecases.erase import erase_subject
from service.usecases.lines import Ask, Line
from service.usecases.records import find_decision
from service.usecases.replay import replay_decision, replay_sample
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.models import examples

pytestmark = pytest.mark.sqlite("every file of it is searched and copied back")
ASK = Ask("parcel", "oms", "POST /v1/decisions/parcel", "en")


def canaries(number: int) -> list[str]:
    """Return what one customer's order must not leave behind."""
    return [
        *[f"CANARY-ORDER-{number:04}", f"CANARY-CUSTOMER-{number:04}", f"CANARY-KEY-{number:04}"],
        *[f"Ada Canary the {number:04}th", f"+86-555-{number:07}"],
    ]


def decide(platform: Platform, count: int) -> list[str]:
    """Decide one order each of some customers, with canary values in known and unknown fields."""
    lines = []
    for number in range(count):
        order_id, customer_id, key, name, phone = canaries(number)
        customer = {"customer_id": customer_id, "name": name, "phone": phone}
        body = examples.order(order_id=order_id, stock=float(number % 80), customer=customer)
        lines.append(Line(body, key))
    answers = decide_lines(platform, ASK, lines)
    return [str(answer["decision_id"]) for answer in answers if isinstance(answer, dict)]


def scan(folder: Path, wanted: list[str]) -> dict[str, list[str]]:
    """Return in which files of a folder which values stand, in UTF-8."""
    found: dict[str, list[str]] = {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if seen := [value for value in wanted if value.encode() in content]:
            found[str(path.relative_to(folder))] = seen
    return found


def forget(settings: Settings, count: int) -> None:
    """Erase two thirds of `count` customers and look for them everywhere."""
    with open_platform(settings) as platform:
        publish_small_model(platform)
        ids = decide(platform, count)
        assert len(ids) == count
        platform.store.fold()
        shutil.copy(settings.var / "candor.db", settings.var.parent / "backup.db")
        shutil.copy(settings.kept_checkpoint, settings.var.parent / "backup.checkpoint")
        gone = [number for number in range(count) if number % 3]
        hashes = [platform.sealer.keyed_hash("order", canaries(number)[0]) for number in gone]
        before = (settings.var / "candor.db").read_bytes()
        assert all(one in before for one in hashes)
        for number in gone:
            customer_id = canaries(number)[1]
            erase_subject(platform, customer_id, kind="subject", actor="test", reason="DSR-7")
        # No keyed hash is left either, with which somebody could try whether a person was there.
        files = [path.read_bytes() for path in settings.var.glob("candor.db*")]
        assert not any(one in content for one in hashes for content in files)
        _check(platform, ids, gone)
    # Everything is on disk and closed now.
    assert scan(settings.var, [value for number in gone for value in canaries(number)]) == {}
    # A backup from before brings nobody back.
    for path in settings.var.glob("candor.db*"):
        path.unlink()
    shutil.copy(settings.var.parent / "backup.db", settings.var / "candor.db")
    # The checkpoint outside would refuse the older database, so it goes back with it.
    shutil.copy(settings.var.parent / "backup.checkpoint", settings.kept_checkpoint)
    with open_platform(settings) as platform:
        files = [path.read_bytes() for path in settings.var.glob("candor.db*")]
        assert not any(one in content for one in hashes for content in files)
        _check(platform, ids, gone)


def _check(platform: Platform, ids: list[str], gone: list[int]) -> None:
    vkey = platform.signer.verifier_key
    report = verify_store(platform.store, [vkey], platform.sealer)
    assert (report.problems, report.erased) == ((), len(gone))
    for number, decision_id in enumerate(ids):
        record = find_decision(platform, decision_id)
        verify_receipt(read_receipt(platform.store, decision_id), record.leaf, vkey)
        replayed = replay_decision(platform, decision_id)
        assert replayed["match"] is True
        assert ("order is gone" in str(replayed.get("note"))) == (number in gone)
    sampled = replay_sample(platform, len(ids), 1, lambda _done, _total: None)
    assert sampled["identical"] == len(ids)


def test_nothing_is_left_of_whom_was_erased(tmp_path: Path) -> None:
    """No canary value stands in any file, every proof holds, a backup brings nobody back."""
    forget(Settings(var=tmp_path / "var", model_refresh_seconds=0, log_level="error"), 9)


@pytest.mark.trial
def test_nothing_is_left_of_three_hundred(tmp_path: Path) -> None:
    """The same with 300 erased of 450."""
    forget(Settings(var=tmp_path / "var", model_refresh_seconds=0, log_level="error"), 450)


def test_the_search_for_canaries_finds_them(tmp_path: Path) -> None:
    """Without sealing or erasing the same search would find a value; it is no empty claim."""
    value = canaries(1)[3]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"\x00" + value.encode() + b"\xff")
    assert scan(tmp_path, canaries(1)) == {"a/b": [value]}
