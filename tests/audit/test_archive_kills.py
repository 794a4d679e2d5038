"""SIGKILL in the middle of an archiving, a release and a purge: the next run finishes it.

The process is killed for real, by strace, at a system call by which something changes on the disk.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from audit.store import Record
from audit.verify import verify_store
from tests.audit.archive_worker import ARCHIVE, PURGE, work
from tests.audit.sample import VKEY
from tests.audit.test_archive import Archive
from tests.databases import SampleDatabase
from tests.faults.nursery import attached
from tests.faults.sweep import spread
from tests.journeys.service_process import ROOT

pytestmark = pytest.mark.sqlite("strace watches a process that has its database in a file")
CALLS = ("pwrite64", "fsync", "rename", "unlink", "unlinkat")
_MOST = 40
_KILLED = re.compile(r"killed by SIGKILL")


def open_log(folder: Path) -> Archive:
    return Archive(folder, SampleDatabase(folder, None))


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a log to archive, and one that is archived and released, to purge."""
    folders = {what: tmp_path_factory.mktemp(what) for what in (ARCHIVE, PURGE)}
    for what, folder in folders.items():
        with closing(open_log(folder)) as log:
            log.fill()
            if what == PURGE:
                work(log, ARCHIVE)
    return folders


class Workers:
    """Starts processes that work, under strace."""

    def __init__(self) -> None:
        self._forking = subprocess.Popen(
            [sys.executable, "-m", "tests.audit.archive_worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the one that forks them."""
        self._forking.communicate()

    def run(self, folder: Path, what: str, *options: str) -> str:
        """Let a process work in a folder, and return strace's log."""
        assert self._forking.stdin is not None
        assert self._forking.stdout is not None
        self._forking.stdin.write(f"{folder} {what}\n")
        self._forking.stdin.flush()
        pid = int(self._forking.stdout.readline())
        trace = folder / "trace"
        with attached(pid, ["-f", "-o", str(trace), *options]):
            os.kill(pid, signal.SIGCONT)
            assert self._forking.stdout.readline() == "ended\n"
        return trace.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with closing(Workers()) as made:
        yield made


def kill(
    workers: Workers, templates: dict[str, Path], folder: Path, point: tuple[str, str, int]
) -> None:
    """Kill a process at a call, and check what the log says before and after the next run."""
    what, call, position = point
    template = templates[what]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    before = read(template)
    how = f"inject={call}:signal=SIGKILL:when={position}"
    assert _KILLED.search(workers.run(folder, what, "-e", f"trace={call}", "-e", how))
    with closing(open_log(folder)) as log:
        unfinished = {code for code, _ in log.problems()}
        assert unfinished <= {"purge-unfinished"}
        work(log, what)
        assert log.problems() == []
        purged = verify_store(log.store, [VKEY], log.sealer).purged
        assert purged == (9 if what == PURGE else 0)
        if what == ARCHIVE:
            assert log.records() == before
            assert log.release() == []
        else:
            gone = {one.leaf_index for one in log.records() if one.facts is None}
            held = [pq.read_table(path, partitioning=None) for path in log.files()]
            rows = {at for table in held for at in table["leaf_index"].to_pylist()}
            assert rows & gone <= {0, 1}
    assert not list(folder.rglob("*.part"))
    assert not list((folder / "staging").glob(".archive-*"))


def read(template: Path) -> list[Record]:
    with closing(open_log(template)) as log:
        return log.records()


# In the release, and between two removals.
SHORT = [(ARCHIVE, "pwrite64", 430), (PURGE, "unlink", 19)]


@pytest.mark.parametrize("point", SHORT, ids=str)
def test_a_killed_run_is_finished_by_the_next(
    workers: Workers,
    templates: dict[str, Path],
    tmp_path: Path,
    point: tuple[str, str, int],
) -> None:
    kill(workers, templates, tmp_path / "log", point)


def _points(
    workers: Workers, templates: dict[str, Path], folder: Path
) -> Iterator[tuple[str, str, int]]:
    for what, template in templates.items():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        trace = workers.run(folder, what, "-e", f"trace={','.join(CALLS)}")
        made = Counter(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))
        print(what, dict(made))  # noqa: T201 - the long form's report
        for call in CALLS:
            for position in spread(made[call], _MOST) if made[call] else ():
                yield what, call, position


@pytest.mark.trial
def test_a_run_killed_anywhere_is_finished_by_the_next(
    workers: Workers, templates: dict[str, Path], tmp_path: Path
) -> None:
    """At every such call, at most 40 of each."""
    for point in list(_points(workers, templates, tmp_path / "log")):
        kill(workers, templates, tmp_path / "log", point)
