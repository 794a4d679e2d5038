"""No room: files that may not grow, and a disk that is full; clear errors, and on it goes."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.nursery import Nursery
from tests.faults.report import FaultReport, Row
from tests.faults.scenario import WAL
from tests.faults.sweep import Scene, judge, prepare_scenes, stage

_PART = "No room"
_KIB = 1024
_DISK_KIB = 2_048


def limit_files(nursery: Nursery, scene: Scene, folder: Path, kib: int, row: Row) -> None:
    """Let no file grow beyond a size until the last batch, and check what was answered."""
    began = time.perf_counter()
    limited = replace(scene, job=replace(scene.job, file_limit_bytes=kib * _KIB))
    run = nursery.run(stage(limited, folder))
    problems = judge(limited, folder, run)
    # Once the limit is lifted, the same process goes on.
    if not {said["number"] for said in run.all("answer")} >= set(scene.job.batches[-1]):
        problems.append("the last batch was not answered")
    elapsed = time.perf_counter() - began
    row.add(fired=bool(run.all("refuse")), problems=problems, seconds=elapsed)


def test_a_file_that_may_not_grow_is_answered_with_an_error(
    nursery: Nursery, tmp_path: Path
) -> None:
    """Beyond RLIMIT_FSIZE batches are refused, none is lost, and later ones are answered."""
    scene, row = next(prepare_scenes(nursery, tmp_path, (WAL,))), Row("", "")
    limit_files(nursery, scene, tmp_path / "run", 64, row)
    assert (row.fired, row.problems) == (1, [])


@pytest.mark.trial
def test_no_limit_on_the_size_of_files_loses_anything(
    nursery: Nursery, tmp_path: Path, fault_report: FaultReport
) -> None:
    """Limits between the smallest file and the largest."""
    row = fault_report.row(_PART, "RLIMIT_FSIZE, 4 to 240 KiB")
    for scene in list(prepare_scenes(nursery, tmp_path, (WAL,)))[:1]:
        for kib in range(4, 244, 4):
            limit_files(nursery, scene, tmp_path / "run", kib, row)
    assert row.problems == []
    assert row.fired > 20


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small disk; skips where that is not allowed."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    options = ["-t", "tmpfs", "-o", f"size={_DISK_KIB}k", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill_disk(nursery: Nursery, scene: Scene, disk: Path, free_kib: int, row: Row) -> None:
    """Leave so much room on the disk, let a writer meet its end, then make room again."""
    began = time.perf_counter()
    job = stage(scene, disk / "run")
    ballast = disk / "ballast"
    status = os.statvfs(disk)
    room = status.f_bavail * status.f_frsize - free_kib * _KIB
    ballast.write_bytes(bytes(room))
    run = nursery.run(job)
    ballast.unlink()
    problems = judge(scene, disk / "run", run)
    elapsed = time.perf_counter() - began
    row.add(fired=bool(run.all("refuse")), problems=problems, seconds=elapsed)


def test_a_full_disk_is_answered_with_an_error(nursery: Nursery, tmp_path: Path) -> None:
    """A disk that runs full: refused from then on, nothing lost, and on it goes with room."""
    scene, row = next(prepare_scenes(nursery, tmp_path, (WAL,))), Row("", "")
    with small_disk(tmp_path / "disk") as disk:
        fill_disk(nursery, scene, disk, 160, row)
    assert (row.fired, row.problems) == (1, [])


@pytest.mark.trial
def test_no_moment_at_which_a_disk_is_full_loses_anything(
    nursery: Nursery, tmp_path: Path, fault_report: FaultReport
) -> None:
    """Disks that run full at 100 different moments, in old and in new logs."""
    row = fault_report.row(_PART, "a disk (tmpfs) with 0 to 392 KiB left")
    scenes = list(prepare_scenes(nursery, tmp_path, (WAL,)))
    with small_disk(tmp_path / "disk") as disk:
        for scene in scenes:
            for free_kib in range(0, 400, 8):
                fill_disk(nursery, scene, disk, free_kib, row)
    assert row.problems == []
    assert row.fired > 50
