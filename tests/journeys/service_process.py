"""Starting the real service in a process of its own, for journeys."""

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from service.cli.child import find_free_port

ROOT = Path(__file__).parents[2]
Headers: TypeAlias = dict[str, str]
HOST = "127.0.0.1"
_READY_SECONDS = 60.0


def candor(*arguments: str) -> list[str]:
    """Return the command line of `candor`."""
    return [sys.executable, "-m", "service.cli", *arguments]


class Service:
    """A running service.

    Parameters
    ----------
    process, port
        Its process and where it listens.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def call(
        self, method: str, path: str, body: bytes | None = None, *, headers: Headers | None = None
    ) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        status, content, _ = self.ask(method, path, body, headers=headers)
        return status, content

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, headers: Headers | None = None
    ) -> tuple[int, bytes, Headers]:
        """Send one request, and return the answer's headers too."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return response.status, response.read(), named
        finally:
            connection.close()

    def is_up(self) -> bool:
        """Tell whether it answers."""
        try:
            return self.call("GET", "/health/live")[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(var: Path) -> Iterator[Service]:
    """Serve a folder until the block ends; the service must then end well if it still runs."""
    port = find_free_port(HOST)
    command = candor("serve", "--host", HOST, "--port", str(port), "--var", str(var))
    with (var.parent / "service.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    service = Service(process, port)
    give_up_at = time.monotonic() + _READY_SECONDS
    try:
        while not service.is_up():
            assert process.poll() is None, (var.parent / "service.log").read_text()
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        yield service
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
