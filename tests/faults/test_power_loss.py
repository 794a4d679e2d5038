"""A power cut at any moment: what was answered is there, and the log goes on by itself."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.disk import Disk, Event, parse_trace
from tests.faults.nursery import Nursery
from tests.faults.power import (
    WAYS,
    Recording,
    count_losses,
    cut_power,
    find_moments,
    record,
    record_failing,
)
from tests.faults.report import FaultReport
from tests.faults.scenario import DELETE, WAL
from tests.faults.sweep import EIO, SIGKILL, Scene, count_calls, prepare_scenes, spread

pytestmark = pytest.mark.usefixtures("strace")
_PART = "Power cuts, SQLite"
_TRACE = r"""
openat(AT_FDCWD, "\x2f\x61", O_RDWR|O_CREAT, 0644) = 3
pwrite64(3, "\x61\x62", 2, 4096)  = 2
pwrite64(3, "\x61\x62", 2, 4096)  = -1 ENOSPC (No space left) (INJECTED)
fsync(3) = -1 EIO (Input/output error) (INJECTED)
pwrite64(3, "\x61\x62", 2, 4098)  = ?
+++ killed by SIGKILL +++
""".strip()


def chosen(seed: int = 1) -> random.Random:
    return random.Random(seed)  # noqa: S311 - chooses faults, no secrets


def cut_all(
    recording: Recording, folder: Path, report: FaultReport, moments: list[int], seed: int = 1
) -> None:
    """Cut the power at the moments, in every way, and note what became of it."""
    row = report.row(_PART, recording.name)
    for cut in cut_power(recording, folder / "image", moments, WAYS, seed):
        problems = [f"event {cut.at}, {cut.way}: {one}" for one in cut.problems]
        row.add(problems=problems, seconds=cut.seconds, note=cut.way)


def check(report: FaultReport) -> int:
    """Check that nothing came of it; return how many images there were."""
    rows = [row for row in report.rows.values() if row.part == _PART]
    assert [(row.what, row.problems[:5]) for row in rows if row.problems] == []
    return sum(row.runs for row in rows)


def record_kill(nursery: Nursery, scene: Scene, folder: Path) -> Recording:
    """Record a writer killed between a commit and its checkpoint, and the one after it."""
    return record_failing(nursery, scene, folder / "run", ("fdatasync", SIGKILL, 2))


def test_a_power_cut_loses_nothing_that_was_answered(nursery: Nursery, tmp_path: Path) -> None:
    """A few moments of a sound run, and of one that goes on after a kill."""
    report = FaultReport()
    scene = next(prepare_scenes(nursery, tmp_path, (WAL,)))
    for recording in (
        record(nursery, scene, tmp_path / "run"),
        record_kill(nursery, scene, tmp_path),
    ):
        cut_all(recording, tmp_path, report, find_moments(recording, 5))
    assert check(report) >= 30


@pytest.mark.trial
@pytest.mark.parametrize("size", [(WAL, 60, 750), (DELETE, 20, 250)], ids=str)
def test_a_power_cut_at_every_moment_loses_nothing(
    nursery: Nursery,
    tmp_path: Path,
    fault_report: FaultReport,
    size: tuple[str, int, int],
) -> None:
    """Sound runs, runs in which a flush fails, and runs that go on after a kill."""
    journal, moments, least = size
    for scene in list(prepare_scenes(nursery, tmp_path, (journal,))):
        recording = record(nursery, scene, tmp_path / "run")
        cut_all(recording, tmp_path, fault_report, find_moments(recording, moments))
        calls = count_calls(nursery, scene, tmp_path / "run")
        for call in ("fsync", "fdatasync"):
            for fault in (EIO, SIGKILL):
                for position in spread(calls[call], 2):
                    failing = record_failing(
                        nursery, scene, tmp_path / "run", (call, fault, position)
                    )
                    cut_all(failing, tmp_path, fault_report, find_moments(failing, moments // 9))
    assert check(fault_report) >= least


def count_unsynced(nursery: Nursery, folder: Path, most: int) -> list[int]:
    scene = next(prepare_scenes(nursery, folder, (WAL,)))
    loose = replace(scene, job=replace(scene.job, variant="unsynced", erase_after=None))
    recording = record(nursery, loose, folder / "run")
    return count_losses(recording, folder / "image", find_moments(recording, most), 1)


def test_unsynced_commits_are_lost(nursery: Nursery, tmp_path: Path) -> None:
    """The same at synchronous=NORMAL loses answers: the images do lose what was not flushed."""
    assert max(count_unsynced(nursery, tmp_path, 12)) > 0


@pytest.mark.trial
def test_unsynced_commits_are_lost_often(
    nursery: Nursery, tmp_path: Path, fault_report: FaultReport
) -> None:
    """The negative control at length; the report says how many images lost answers."""
    losses = count_unsynced(nursery, tmp_path, 80)
    row = fault_report.row("Negative control: synchronous=NORMAL", "images that have to lose")
    for lost in losses:
        row.add(note="lost answers" if lost else "lost none")
    assert row.notes["lost answers"] > len(losses) // 10


def play(folder: Path, *events: Event, fails: bool = False) -> Disk:
    disk = Disk(folder)
    for event in events:
        disk.play(event, lambda: not fails)
    return disk


def make_events(folder: Path) -> list[Event]:
    """Return a new file with a flushed and an unflushed write, as strace would log them."""
    file = str(folder / "file")
    return [
        Event("openat", -1, 3, paths=(file,), flags="O_RDWR|O_CREAT"),
        Event("pwrite64", 3, 600, b"a" * 600),
        Event("fsync", 3, 0),
        Event("openat", -1, 4, paths=(str(folder),), flags="O_RDONLY"),
        Event("fsync", 4, 0),
        Event("pwrite64", 3, 1100, b"b" * 1100, number=300),
    ]


def test_the_model_keeps_what_was_flushed_and_may_lose_the_rest(tmp_path: Path) -> None:
    """A file's name needs its folder's flush, its bytes their own; the rest goes by sectors."""
    events, rng = make_events(tmp_path), chosen()
    file = str(tmp_path / "file")
    assert file not in play(tmp_path, *events[:4]).cut("nothing", rng)
    assert play(tmp_path, *events).cut("nothing", rng)[file] == b"a" * 600
    whole = b"a" * 300 + b"b" * 1100
    assert play(tmp_path, *events).cut("everything", rng)[file] == whole
    seen = Counter(play(tmp_path, *events).cut("sectors", rng)[file] for _ in range(200))
    # Sectors end at 512 and 1024: three parts, each there or not.
    assert len(seen) == 8
    torn = b"a" * 300 + b"b" * 212 + bytes(512) + b"b" * 376
    assert torn[:512] + b"a" * 88 + torn[600:] in seen


def test_the_model_may_lose_what_a_failed_flush_left(tmp_path: Path) -> None:
    """A flush that succeeds after one that failed brings nothing back."""
    failed = [Event("fsync", 3, -1), Event("fsync", 3, 0)]
    disk = play(tmp_path, *make_events(tmp_path), *failed, fails=True)
    assert disk.cut("everything", chosen())[str(tmp_path / "file")] == b"a" * 600


def test_the_model_follows_names(tmp_path: Path) -> None:
    """A linked, renamed or removed name counts once its folder was flushed."""
    one, two, three = (str(tmp_path / name) for name in ("file", "two", "three"))
    moved = [
        Event("link", -1, 0, paths=(one, two)),
        Event("rename", -1, 0, paths=(two, three)),
        Event("unlink", -1, 0, paths=(one,)),
    ]
    begun = [*make_events(tmp_path), *moved]
    rng = chosen()
    assert set(play(tmp_path, *begun).cut("nothing", rng)) == {str(tmp_path), one}
    flushed = play(tmp_path, *begun, Event("fsync", 4, 0)).cut("nothing", rng)
    assert set(flushed) == {str(tmp_path), three}


def test_strace_s_log_is_read() -> None:
    """Failed calls did not happen, failed flushes did, and a killed one is left out."""
    assert parse_trace(_TRACE)[1:] == [
        Event("openat", -1, 3, paths=("/a",), flags="O_RDWR|O_CREAT"),
        Event("pwrite64", 3, 2, b"ab", number=4096),
        Event("fsync", 3, -1),
    ]
