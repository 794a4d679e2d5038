"""Child processes that end with their parent's command, each with a log file of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.errors import DemoFailedError

_POLL_SECONDS: Final = 0.1
_END_SECONDS: Final = 20
_TAIL_CHARACTERS: Final = 2_000

Child = subprocess.Popen[bytes]


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[Child]:
    """Run a command, its output in a file; end it and all that it started afterwards.

    Parameters
    ----------
    command
        Program and arguments.
    log
        Where stdout and stderr go.
    """
    with log.open("wb") as output:
        # A session of its own, so that Ctrl-C reaches only the parent, which ends it in order.
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield child
    finally:
        _end(child)


def wait_until(is_ready: Callable[[], bool], child: Child, log: Path, seconds: float) -> None:
    """Wait until a child serves.

    Raises
    ------
    DemoFailedError
        When it ended or took too long; with the end of its log.
    """
    give_up_at = time.monotonic() + seconds
    while not is_ready():
        if child.poll() is not None or time.monotonic() > give_up_at:
            tail = log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]
            raise DemoFailedError(f"{log.stem} did not become ready: {tail}")
        time.sleep(_POLL_SECONDS)


def find_free_port(host: str) -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _end(child: Child) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, how)
        except ProcessLookupError:
            break
        try:
            child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        break
    child.wait()
