"""The file outside the database: monotone, whole after a torn write, loud when damaged."""

from hashlib import sha256
from pathlib import Path

import pytest

from audit.errors import CheckpointLostError, StoreUnavailableError
from audit.kept import KeptCheckpoint
from audit.merkle import EMPTY_ROOT
from tests.audit.sample import SIGNER, make_signer

ORIGIN = SIGNER.origin
NOTES = [SIGNER.sign(size, bytes([size]) * 32) for size in range(10)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "latest"


def test_the_newest_is_kept(path: Path) -> None:
    kept = KeptCheckpoint(path)
    assert kept.read(ORIGIN) is None
    for note in NOTES[1:6]:
        kept.keep(note)
        assert KeptCheckpoint(path).read(ORIGIN) == note
    assert [child.name for child in path.parent.iterdir()] == ["latest"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_smaller_one_changes_nothing(path: Path) -> None:
    """Two processes may keep in another order than they committed."""
    first, second = KeptCheckpoint(path), KeptCheckpoint(path)
    first.keep(NOTES[5])
    before = path.read_bytes()
    first.keep(NOTES[4])
    second.keep(NOTES[3])
    second.keep(NOTES[3])
    assert path.read_bytes() == before


@pytest.mark.parametrize("torn", [1, 100, 300, 4090])
def test_a_torn_write_leaves_the_one_before(path: Path, torn: int) -> None:
    """A write that stopped after some bytes is not mistaken for a checkpoint."""
    kept = KeptCheckpoint(path)
    for note in NOTES[1:4]:
        kept.keep(note)
    before = path.read_bytes()
    kept.keep(NOTES[4])
    after = path.read_bytes()
    begin = next(at for at in (0, 4096) if before[at : at + 4096] != after[at : at + 4096])
    path.write_bytes(before[:begin] + after[begin : begin + torn] + before[begin + torn :])
    assert KeptCheckpoint(path).read(ORIGIN) == NOTES[3]
    fresh = KeptCheckpoint(path)
    fresh.keep(NOTES[5])
    assert KeptCheckpoint(path).read(ORIGIN) == NOTES[5]


@pytest.mark.parametrize(
    "content", [b"", b"x" * 8192, bytes(8192), NOTES[1].encode(), b"\xff" * 9000], ids=range(5)
)
def test_a_damaged_file_is_named(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(CheckpointLostError):
        KeptCheckpoint(path).read(ORIGIN)
    with pytest.raises(CheckpointLostError):
        KeptCheckpoint(path).keep(NOTES[1])


def test_a_slot_that_holds_no_checkpoint_does_not_count(path: Path) -> None:
    kept = KeptCheckpoint(path)
    kept.keep(NOTES[1])
    whole = path.read_bytes()
    other = _slot(b"no checkpoint\n")
    path.write_bytes(other + whole[4096:])
    assert KeptCheckpoint(path).read(ORIGIN) == NOTES[1]
    path.write_bytes(_slot(b"\xff\xfe\n") + whole[4096:])
    assert KeptCheckpoint(path).read(ORIGIN) == NOTES[1]


def _slot(raw: bytes) -> bytes:
    return raw.ljust(4096 - 65, b"\n") + sha256(raw).hexdigest().encode() + b"\n"


def test_a_file_that_went_away_is_missed(path: Path) -> None:
    kept = KeptCheckpoint(path)
    kept.keep(NOTES[1])
    kept.read(ORIGIN)
    path.unlink()
    with pytest.raises(CheckpointLostError, match="removed"):
        kept.read(ORIGIN)


def test_a_file_at_a_place_of_its_own_has_to_be_there(path: Path) -> None:
    """A disk that is not mounted must not look like a new log."""
    kept = KeptCheckpoint(path, must_exist=True)
    kept.verify_present(0)
    with pytest.raises(CheckpointLostError, match="settings"):
        kept.verify_present(1)
    kept.keep(NOTES[1])
    kept.verify_present(1)


def test_a_new_origin_replaces_the_old_one(path: Path) -> None:
    kept = KeptCheckpoint(path)
    kept.keep(NOTES[9])
    other = make_signer("candor.example/log/new", 9)
    first = other.sign(4, bytes(32))
    kept.begin(first)
    assert KeptCheckpoint(path).read(other.origin) == first
    assert KeptCheckpoint(path).read(ORIGIN) == first
    kept.keep(other.sign(5, bytes(32)))
    assert KeptCheckpoint(path).read(other.origin) == other.sign(5, bytes(32))
    [aside] = [child for child in path.parent.iterdir() if child.name != "latest"]
    assert KeptCheckpoint(aside).read(ORIGIN) == NOTES[9]
    KeptCheckpoint(path.with_name("fresh")).begin(first)
    assert KeptCheckpoint(path.with_name("fresh")).read(other.origin) == first


def test_what_cannot_be_written_is_no_answer(path: Path) -> None:
    """A file where the folder should be stands for any disk that refuses."""
    path.parent.write_text("in the way")
    kept = KeptCheckpoint(path)
    for act in (kept.keep, kept.begin):
        with pytest.raises(StoreUnavailableError, match="kept outside"):
            act(NOTES[1])
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        kept.read(ORIGIN)


def test_a_note_that_does_not_fit_is_refused(path: Path) -> None:
    note = SIGNER.sign(1, EMPTY_ROOT)
    body, signature = note.split("\n\n")
    with pytest.raises(StoreUnavailableError, match="too long"):
        KeptCheckpoint(path).keep(f"{body}\n{'x' * 5000}\n\n{signature}")
