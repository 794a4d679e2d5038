"""Any system call that fails, once or for good: nothing answered is lost, and all errors are ours.

Each run counts only if strace's own log says that the fault happened.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.nursery import Nursery
from tests.faults.report import FaultReport
from tests.faults.scenario import DELETE, WAL
from tests.faults.sweep import (
    CALLS,
    FAULTS,
    SIGKILL,
    count_calls,
    inject,
    judge,
    prepare_scenes,
    spread,
    stage,
)

pytestmark = pytest.mark.usefixtures("strace")
_PART = "System calls that fail, SQLite"


def sweep(
    nursery: Nursery, folder: Path, report: FaultReport, journal: str, most: int
) -> Counter[str]:
    """Let each call fail at so many places, in each way; return how many of each fired."""
    fired: Counter[str] = Counter()
    for scene in list(prepare_scenes(nursery, folder, (journal,))):
        for call, count in sorted(count_calls(nursery, scene, folder / "run").items()):
            for fault in FAULTS:
                row = report.row(_PART, f"{scene.name}: {call}, {fault}")
                for position in spread(count, most):
                    done = inject(nursery, scene, folder / "run", (call, fault, position))
                    row.add(
                        fired=done.fired,
                        problems=[f"{done.file}, call {position}: {one}" for one in done.problems],
                        seconds=done.seconds,
                        note=done.file,
                    )
                    fired[fault] += done.fired
    return fired


def check(report: FaultReport) -> None:
    """Check that all faults happened and nothing came of them."""
    rows = [row for row in report.rows.values() if row.part == _PART]
    assert [(row.what, row.problems) for row in rows if row.problems] == []
    assert [row.what for row in rows if row.fired < row.runs] == []


def test_a_call_that_fails_in_the_middle_loses_nothing(nursery: Nursery, tmp_path: Path) -> None:
    """Each call that a run makes fails once, in one of four ways, at one place."""
    report = FaultReport()
    scene = next(prepare_scenes(nursery, tmp_path, (WAL,)))
    calls = count_calls(nursery, scene, tmp_path / "run")
    assert {"pwrite64", "fsync", "fdatasync", "ftruncate", "unlink"} <= set(calls) <= set(CALLS)
    for place, (call, count) in enumerate(sorted(calls.items())):
        fault = FAULTS[place % len(FAULTS)]
        done = inject(nursery, scene, tmp_path / "run", (call, fault, count // 2 + 1))
        report.row(_PART, call).add(fired=done.fired, problems=done.problems)
    check(report)


@pytest.mark.trial
@pytest.mark.parametrize("size", [(WAL, 4, 200), (DELETE, 2, 100)], ids=str)
def test_every_call_that_fails_loses_nothing(
    nursery: Nursery,
    tmp_path: Path,
    fault_report: FaultReport,
    size: tuple[str, int, int],
) -> None:
    """Every call, four faults, places spread over the run, in a log that goes on and a new one."""
    journal, places, least = size
    fired = sweep(nursery, tmp_path, fault_report, journal, places)
    check(fault_report)
    assert sum(fired.values()) >= least
    assert min(fired[fault] for fault in FAULTS) >= least // 5


def test_without_a_fault_nothing_fires(nursery: Nursery, tmp_path: Path) -> None:
    """The harness says so when an injection did not happen."""
    scene = next(prepare_scenes(nursery, tmp_path, (WAL,)))
    done = inject(nursery, scene, tmp_path / "run", ("fdatasync", SIGKILL, 60_000))
    assert not done.fired
    assert done.file == ""
    assert done.problems == ()


def test_a_writer_that_answers_too_early_is_caught(nursery: Nursery, tmp_path: Path) -> None:
    """An answer given before its append is found to be lost when the writer is killed."""
    sound = next(prepare_scenes(nursery, tmp_path, (WAL,)))
    scene = replace(sound, job=replace(sound.job, variant="early", erase_after=None))
    # In the middle of what the first batch writes.
    how = ["-y", "-e", "trace=pwrite64", "-e", "inject=pwrite64:signal=SIGKILL:when=40"]
    run = nursery.run(stage(scene, tmp_path / "run"), how)
    assert run.fired
    found = judge(scene, tmp_path / "run", run)
    assert any("was answered and is lost" in problem for problem in found), found
