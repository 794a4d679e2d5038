"""A process that has everything imported and forks one for each line FOLDER WHAT that it reads.

A forked one archives and releases, or purges. It stops first, so that strace can attach; its id is
printed then, and a line when it has ended.
"""

import os
import signal
import sys
from pathlib import Path

from tests.audit.test_archive import Archive
from tests.audit.test_archive_purge import HALF, Purging
from tests.databases import SampleDatabase

ARCHIVE, PURGE = "archive", "purge"


def work(log: Archive, what: str) -> None:
    """Do all of it, whatever an earlier process has done."""
    # As the commands do: what an earlier one left comes first.
    purging = Purging(log)
    purging.finish(HALF)
    if what == ARCHIVE:
        log.archive()
        log.release()
        return
    purging.purge(HALF)
    purging.finish(HALF)


def main() -> None:
    """Fork a process for each line."""
    for line in sys.stdin:
        folder, what = line.split()
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            work(Archive(Path(folder), SampleDatabase(Path(folder), None)), what)
            os._exit(0)
        os.waitpid(pid, os.WUNTRACED)
        print(pid, flush=True)  # noqa: T201 - what the other process waits for
        os.waitpid(pid, 0)
        print("ended", flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
