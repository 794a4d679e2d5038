"""Starting writers, each under strace where something is to fail or to be recorded."""

import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from tests.faults.scenario import Job
from tests.journeys.service_process import ROOT

_WAIT_SECONDS = 60.0
_FIRED = re.compile(r"\(INJECTED\)|\+\+\+ killed by SIGKILL", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """What a writer said, and strace's log of it.

    Parameters
    ----------
    messages
        In order.
    trace
        Empty without strace.
    """

    messages: tuple[dict[str, Any], ...]
    trace: str

    def all(self, did: str) -> list[dict[str, Any]]:
        """Return the messages of one sort."""
        return [message for message in self.messages if message["did"] == did]

    @property
    def fired(self) -> bool:
        """Tell whether strace's own log says that the fault happened."""
        return _FIRED.search(self.trace) is not None

    @property
    def hit(self) -> str:
        """Return the line of strace's log in which the fault happened; empty if it did not."""
        lines = self.trace.splitlines()
        at = next((at for at, line in enumerate(lines) if _FIRED.search(line)), None)
        if at is None:
            return ""
        return lines[at] if "INJECTED" in lines[at] else lines[max(at - 1, 0)]


class Nursery:
    """A process that has everything imported and forks writers."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="candor-faults-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.writer"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()
        self._folder.cleanup()
        assert self._process.returncode == 0

    def run(self, job: Job, strace: Sequence[str] = ()) -> Run:
        """Let a writer do a job, and wait until it ended.

        Parameters
        ----------
        job
            What it does.
        strace
            Options of strace; without any it is not used.
        """
        folder = Path(self._folder.name)
        address, trace = folder / "socket", folder / "trace"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(address))
            listening.listen(1)
            listening.settimeout(_WAIT_SECONDS)
            try:
                pid = self._fork(address, job)
                connection, _ = listening.accept()
            finally:
                address.unlink()
        connection.settimeout(_WAIT_SECONDS)
        with connection:
            if not strace:
                return Run(_talk(connection), "")
            with attached(pid, [*strace, "-o", str(trace)]):
                messages = _talk(connection)
        return Run(messages, trace.read_text(encoding="ascii"))

    def _fork(self, address: Path, job: Job) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(str(address).encode() + b" " + job.to_json())
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def attached(pid: int, options: list[str]) -> Iterator[None]:
    """Let strace watch a process until it ends."""
    command = ["strace", *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert "attached" in said, said
        yield
        # It ends with the process that it watches.
        strace.communicate(timeout=_WAIT_SECONDS)


def _talk(connection: socket.socket) -> tuple[dict[str, Any], ...]:
    connection.sendall(b"!")
    received = b""
    while part := _receive(connection):
        received += part
    return tuple(orjson.loads(line) for line in received.splitlines())


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except ConnectionResetError:
        return b""
