"""The erasure ledger keeps every acknowledged act, and only those."""

from pathlib import Path

import pytest

from audit.errors import LedgerDamagedError, StoreUnavailableError
from audit.ledger import Act, ErasureLedger, LedgerLine
from tests.faults.limits import small_files

KEY = b"k" * 16


def line(act: Act, entry_id: str = "e-1") -> LedgerLine:
    return LedgerLine(act, entry_id, KEY.hex(), "2026-01-15T08:30:00.000000Z", "cli", "request")


def test_acts_are_read_back_in_order_by_every_process(tmp_path: Path) -> None:
    ledger, other = (ErasureLedger(tmp_path / "ledger.jsonl") for _ in "ab")
    assert (ledger.size(), ledger.lines(), ledger.is_erased(KEY)) == (0, (), False)
    acts = [line(act, f"e-{number}") for number, act in enumerate((Act.HOLD, Act.RELEASE))]
    for act in acts:
        ledger.append(act)
    assert list(other.lines()) == acts
    assert (tmp_path / "ledger.jsonl").stat().st_mode & 0o777 == 0o600
    ledger.append(line(Act.ERASE))
    assert other.is_erased(KEY)


def test_a_hold_stands_until_it_is_released(tmp_path: Path) -> None:
    ledger = ErasureLedger(tmp_path / "ledger.jsonl")
    held = [ledger.is_held(KEY)]
    for act in (Act.HOLD, Act.RELEASE, Act.HOLD):
        ledger.append(line(act))
        held.append(ledger.is_held(KEY))
    assert held == [False, True, False, True]
    assert not ledger.is_held(b"x" * 16)


def test_a_line_that_a_crash_cut_off_is_no_act(tmp_path: Path) -> None:
    """Whatever is left of the last line, the acts before it stand and the next one is whole."""
    path = tmp_path / "ledger.jsonl"
    ErasureLedger(path).append(line(Act.HOLD))
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        path.write_bytes(whole + whole[:length])
        ledger = ErasureLedger(path)
        assert len(ledger.lines()) == (1 if length < len(whole) else 2)
        ledger.append(line(Act.RELEASE, "e-2"))
        assert [one.entry_id for one in ErasureLedger(path).lines()] == ["e-1", "e-2"]


def test_a_line_with_a_hole_is_no_act(tmp_path: Path) -> None:
    """A power cut may keep the end of the last line and lose a sector before it."""
    path = tmp_path / "ledger.jsonl"
    ErasureLedger(path).append(line(Act.HOLD))
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(40) + whole[40:])
    ledger = ErasureLedger(path)
    assert len(ledger.lines()) == 1
    ledger.append(line(Act.RELEASE, "e-2"))
    assert [one.entry_id for one in ErasureLedger(path).lines()] == ["e-1", "e-2"]
    path.write_bytes(bytes(40) + whole[40:] + whole)
    with pytest.raises(LedgerDamagedError, match="line 1"):
        ErasureLedger(path).lines()


def test_a_line_that_cannot_be_written_is_no_act(tmp_path: Path) -> None:
    """Nothing of it is left, and the next one is taken once there is room."""
    ledger = ErasureLedger(tmp_path / "ledger.jsonl")
    ledger.append(line(Act.HOLD))
    before = (tmp_path / "ledger.jsonl").read_bytes()
    with small_files(len(before) + 20), pytest.raises(StoreUnavailableError):
        ledger.append(line(Act.RELEASE, "e-2"))
    assert (tmp_path / "ledger.jsonl").read_bytes() == before
    ledger.append(line(Act.RELEASE, "e-2"))
    assert len(ledger.lines()) == 2


def test_what_a_killed_process_left_is_made_durable(tmp_path: Path) -> None:
    ledger = ErasureLedger(tmp_path / "ledger.jsonl")
    ledger.settle()
    ledger.append(line(Act.HOLD))
    ledger.settle()
    assert len(ledger.lines()) == 1
    (tmp_path / "ledger.jsonl").unlink()
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(StoreUnavailableError):
        ledger.settle()


@pytest.mark.parametrize(
    "content", [b"{}\n", b"[]\n", b"x\n", b'{"act": "forget"}\n', b'{"act": "erase"}\n', b"\n"]
)
def test_a_damaged_line_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content)
    with pytest.raises(LedgerDamagedError, match="line 1"):
        ErasureLedger(path).lines()


def test_a_ledger_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "missing" / "ledger.jsonl", tmp_path / "folder"):
        with pytest.raises(StoreUnavailableError):
            ErasureLedger(path).append(line(Act.ERASE))
    with pytest.raises(StoreUnavailableError):
        ErasureLedger(tmp_path / "folder").lines()
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError):
        ErasureLedger(tmp_path / "file" / "ledger.jsonl").size()
