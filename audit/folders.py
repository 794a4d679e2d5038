"""Folders whose entries outlive a power cut.

A file that was flushed can still lose its name: a folder's entries are durable only once the
folder itself was flushed. A process that was killed in between leaves an entry that the next one
sees and a power cut then removes, so whoever relies on an entry flushes it again.
"""

import os
from pathlib import Path


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder, with those that it lies in, so that its name is durable.

    Parameters
    ----------
    path
        The folder; nothing is made if it is there.
    mode
        Rights of the folder itself.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    missing = [path, *(parent for parent in path.parents if not parent.exists())]
    path.mkdir(parents=True, exist_ok=True, mode=mode)
    for folder in missing:
        # One that may not be read cannot be flushed; whoever made it vouches for what is in it.
        if os.access(folder.parent, os.R_OK):
            sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable.

    Raises
    ------
    OSError
        If it cannot be done.
    """
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
