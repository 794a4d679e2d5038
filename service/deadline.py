"""HTTP connections under one deadline, which covers connecting and every byte that comes.

The library's own time-out begins anew with each wait, so whoever answers one byte now and then
could keep a caller for ever. Looking up a name is bounded by the system's resolver alone.
"""

import io
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


class DeadlineConnection(HTTPConnection):
    """A connection whose every wait counts against one deadline.

    Parameters
    ----------
    url
        Where to; http, or https with a certificate that the system trusts.
    give_up_at
        The deadline, on `clock`. `TimeoutError` is raised when it has passed.
    clock
        Seconds, rising.
    """

    def __init__(self, url: str, give_up_at: float, clock: Callable[[], float]) -> None:
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        port = parts.port or (443 if self._is_secure else 80)
        super().__init__(str(parts.hostname), port)
        self._give_up_at = give_up_at
        self._clock = clock

    def connect(self) -> None:
        """Connect, and put the deadline around the socket."""
        made = self._dial()
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._is_secure:
                made.settimeout(_left(self._give_up_at, self._clock))
                made = ssl.create_default_context().wrap_socket(made, server_hostname=self.host)
        except OSError:
            made.close()
            raise
        # The library asks of a socket only what this one can do.
        self.sock: Any = _DeadlineSocket(made, self._give_up_at, self._clock)

    def _dial(self) -> socket.socket:
        # The library's own function gives every address of a name the whole time again.
        refused: OSError = ConnectionRefusedError()
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM
        ):
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(_left(self._give_up_at, self._clock))
                made.connect(address)
            except OSError as error:
                made.close()
                refused = error
            else:
                return made
        raise refused


class _DeadlineSocket:
    """A socket as `http.client` uses it: no wait is longer than what is left of the deadline."""

    def __init__(self, made: socket.socket, give_up_at: float, clock: Callable[[], float]) -> None:
        self._socket = made
        self._give_up_at = give_up_at
        self._clock = clock

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        self._socket.settimeout(_left(self._give_up_at, self._clock))
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what is received as a file."""
        # The socket's own file keeps it open until the answer was read, whoever closes it before.
        received = self._socket.makefile("rb", buffering=0)
        waiting = _DeadlineFile(self._socket, received, self._give_up_at, self._clock)
        return io.BufferedReader(waiting)

    def close(self) -> None:
        """Close."""
        self._socket.close()


class _DeadlineFile(io.RawIOBase):
    """What a socket receives, read under a deadline."""

    def __init__(
        self,
        made: socket.socket,
        received: io.RawIOBase,
        give_up_at: float,
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self._socket = made
        self._received = received
        self._give_up_at = give_up_at
        self._clock = clock

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any buffer, as the base class says
        """Receive some bytes."""
        self._socket.settimeout(_left(self._give_up_at, self._clock))
        return self._received.readinto(buffer)

    def close(self) -> None:
        """Close the socket's own file too."""
        self._received.close()
        super().close()


def _left(give_up_at: float, clock: Callable[[], float]) -> float:
    left = give_up_at - clock()
    if left <= 0:
        raise TimeoutError
    return left
