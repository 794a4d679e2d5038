"""The hook for a key service: a program that wraps and unwraps key-encryption keys.

The program is called with two more arguments, `wrap` or `unwrap` and the key's name, gets base64
on its standard input and answers base64 on its standard output. What it wrapped lies in a file;
what it unwrapped stays in memory. No shell is involved, its time and its answer are bounded, and
its standard error goes where the service's own goes.
"""

import base64
import binascii
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Timer
from typing import Final

from audit.errors import KeyUnavailableError

# A wrapped key of the known key services is below a kilobyte.
MOST_ANSWER_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class KeyService:
    """A program that stands for a key service.

    Parameters
    ----------
    command
        Program and first arguments.
    timeout_seconds
        How long one call may take.
    """

    command: tuple[str, ...]
    timeout_seconds: float

    def wrap(self, name: str, key: bytes) -> bytes:
        """Return a key as it may lie in a file.

        Raises
        ------
        KeyUnavailableError
            When the program refuses, fails, takes too long or answers something else.
        """
        return self._call("wrap", name, key)

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return a key that was wrapped.

        Raises
        ------
        KeyUnavailableError
            See `wrap`.
        """
        return self._call("unwrap", name, wrapped)

    def _call(self, act: str, name: str, given: bytes) -> bytes:
        try:
            status, said = self._run([*self.command, act, name], base64.b64encode(given) + b"\n")
        except OSError as error:
            detail = f"the key service's program cannot be run: {error.strerror}"
            raise KeyUnavailableError(detail) from error
        if status != 0:
            raise KeyUnavailableError(f"the key service refused to {act} {name} (status {status})")
        try:
            return base64.b64decode(said.strip(), validate=True)
        except binascii.Error as error:
            raise KeyUnavailableError("the key service's answer is not base64") from error

    def _run(self, command: list[str], given: bytes) -> tuple[int, bytes]:
        is_late = Event()
        # A session of its own, so that what the program started ends with it.
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as process:

            def give_up() -> None:
                is_late.set()
                _end(process)

            timer = Timer(self.timeout_seconds, give_up)
            timer.start()
            try:
                said = _exchange(process, given)
            finally:
                timer.cancel()
                _end(process)
        if is_late.is_set():
            raise KeyUnavailableError(
                f"the key service did not answer in {self.timeout_seconds} seconds"
            )
        if len(said) > MOST_ANSWER_BYTES:
            raise KeyUnavailableError("the key service's answer is too long")
        return process.returncode, said


def _exchange(process: "subprocess.Popen[bytes]", given: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise KeyUnavailableError("the key service's program has no pipes")
    # A program that ends without reading says why by its status.
    with suppress(BrokenPipeError):
        process.stdin.write(given)
        process.stdin.close()
    said = process.stdout.read(MOST_ANSWER_BYTES + 1)
    if len(said) <= MOST_ANSWER_BYTES:
        process.wait()
    return said


def _end(process: "subprocess.Popen[bytes]") -> None:
    # Not waited for yet, or already gone: its number is not given to another as long as it is.
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
