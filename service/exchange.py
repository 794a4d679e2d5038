"""One bounded HTTP exchange with somebody outside: a node, a timestamping authority, a witness.

Rules kept here: only the address that was given is asked, over http or https; a redirect is a
failure; one deadline covers connection, request and the whole answer, however slowly it drips; no
more bytes are read than allowed; proxies and the environment are not asked. Nothing is raised for
what the other side does: every failure is a value. (Looking up a name is bounded by the system's
resolver, not by the deadline.)
"""

import socket
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.parse import urlsplit

from service.deadline import DeadlineConnection

_CHUNK_BYTES: Final = 65_536
OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "candor"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one exchange may take.

    Parameters
    ----------
    timeout_seconds
        From the connection's start to the answer's last byte.
    max_bytes
        Largest answer.
    """

    timeout_seconds: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer.

    Parameters
    ----------
    code
        Stable slug.
    detail
        One sentence.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Parameters
    ----------
    status
        None when none came.
    content
        The whole body of an answer that is read; None with any failure.
    failure
        Why there is none.
    media_type
        Of the body, lower case and without parameters; empty when it was not said.
    """

    status: int | None
    content: bytes | None
    failure: Failure | None
    media_type: str = ""


def exchange(
    url: str,
    bounds: Bounds,
    clock: Callable[[], float],
    *,
    body: bytes | None = None,
    headers: Mapping[str, str],
    read: Collection[int] = (OK,),
) -> Reply:
    """Send one request and read the whole answer.

    Parameters
    ----------
    url
        http or https.
    bounds
        What it may take.
    clock
        Seconds, rising.
    body
        Posted; None asks with GET.
    headers
        Beside those of every request.
    read
        Statuses that are answers; any other is a failure, its body unread.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = DeadlineConnection(url, clock() + bounds.timeout_seconds, clock)
    status: int | None = None
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, target, body, {**_HEADERS, **headers})
        with connection.getresponse() as response:
            status = response.status
            return _read_whole(response, bounds.max_bytes, read)
    except TimeoutError:
        return _failed(status, "timed-out", f"no whole answer within {bounds.timeout_seconds:g} s")
    except ssl.SSLError as error:
        return _failed(status, "unreachable", f"no trusted connection: {type(error).__name__}")
    except (ConnectionRefusedError, socket.gaierror) as error:
        return _failed(status, "unreachable", f"it cannot be reached: {type(error).__name__}")
    except (OSError, HTTPException, ValueError) as error:
        return _failed(status, "broken-off", f"the exchange broke off: {type(error).__name__}")
    finally:
        connection.close()


def _read_whole(response: HTTPResponse, max_bytes: int, read: Collection[int]) -> Reply:
    status = response.status
    if status in _REDIRECTS:
        return _failed(status, "redirected", f"it answered {status}, and is not followed")
    if status not in read:
        return _failed(status, "http-status", f"it answered {status}")
    content = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > max_bytes:
            return _failed(status, "too-large", f"the answer is larger than {max_bytes} bytes")
    declared = response.headers.get("Content-Length")
    if declared is not None and declared.isdigit() and int(declared) != len(content):
        # Reading piece by piece does not notice by itself that the other side stopped early.
        return _failed(status, "broken-off", "less came than was announced")
    said = response.headers.get("Content-Type", "")
    return Reply(status, bytes(content), None, said.partition(";")[0].strip().lower())


def _failed(status: int | None, code: str, detail: str) -> Reply:
    return Reply(status, None, Failure(code, detail))
