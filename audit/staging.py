"""Folders in which archive files are made, each of one process and only for as long as it lives.

A file in the making holds facts that a purge may have to remove one day. So whatever a killed
process left is removed by the next one; a lock tells it from the folder of one that is at work.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".archive-"


@contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Make a folder, and remove it with all that is in it.

    Parameters
    ----------
    root
        In which folder; it is made where it is missing.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        mine = os.open(folder, os.O_RDONLY)
        fcntl.flock(mine, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(mine)


def clear_staging(root: Path) -> None:
    """Remove the folders that killed processes left.

    Raises
    ------
    OSError
        If one cannot be removed.
    """
    if not root.is_dir():
        return
    with _locked(root):
        for folder in root.glob(f"{_PREFIX}*"):
            # Whoever holds its lock is at work in it.
            with suppress(BlockingIOError), _locked(folder, fcntl.LOCK_NB):
                shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)
