"""Asking an outside node over HTTP: bounded in time and size, and never led elsewhere.

Rules kept here: only the address that an operator published is asked, over http or https; a
redirect is a failure; one deadline covers connection, request and the whole answer, however slowly
it drips; no more bytes are read than allowed; proxies and the environment are not asked. Nothing is
raised for what the node does: every failure is a value that is recorded. (Looking up the node's
name is bounded by the system's resolver, not by the deadline.)
"""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.parse import urlsplit

from models.inference import NodeFailure
from models.node import Node
from models.outside_verdict import NodeCall
from service.deadline import DeadlineConnection

_CHUNK_BYTES: Final = 65_536
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "candor",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one call may take.

    Parameters
    ----------
    timeout_seconds
        From the connection's start to the answer's last byte.
    max_bytes
        Largest answer.
    """

    timeout_seconds: float
    max_bytes: int

    def within(self, node: Node) -> "Bounds":
        """Return the node's own bounds where they are tighter."""
        seconds, most = self.timeout_seconds, self.max_bytes
        if node.timeout_ms is not None:
            seconds = min(seconds, node.timeout_ms / 1e3)
        if node.max_response_bytes is not None:
            most = min(most, node.max_response_bytes)
        return Bounds(seconds, most)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Parameters
    ----------
    status
        None when none came.
    content
        The whole body of an answer with status 200; None with any failure.
    failure
        Why there is none.
    """

    status: int | None
    content: bytes | None
    failure: NodeFailure | None


def ask_node(
    node: Node, body: bytes, request_id: str, bounds: Bounds, clock: Callable[[], float]
) -> NodeCall:
    """Send an inference request and return the call as it is recorded.

    Parameters
    ----------
    node
        Whom to ask.
    body
        From `models.outside.request_body`.
    request_id
        The one in `body`.
    bounds
        Of the service; the node's own count where they are tighter.
    clock
        Seconds, rising.
    """
    begin = clock()
    reply = exchange(node, f"{node.model_path()}/infer", bounds, clock, body)
    latency = (clock() - begin) * 1e3
    content, failure, text = reply.content, reply.failure, None
    if content is not None:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            failure = NodeFailure("not-utf8", "the answer is not UTF-8")
    return NodeCall(
        request_id=request_id,
        request_sha256=sha256(body).hexdigest(),
        latency_ms=round(latency, 3),
        status=reply.status,
        body=text,
        body_sha256=None if content is None else sha256(content).hexdigest(),
        failure=failure,
    )


def exchange(
    node: Node,
    path: str,
    bounds: Bounds,
    clock: Callable[[], float],
    body: bytes | None = None,
) -> Reply:
    """Send one request and read the whole answer.

    Parameters
    ----------
    path
        Below the node's base address.
    body
        Posted; None asks with GET.
    """
    own = bounds.within(node)
    connection = DeadlineConnection(node.url, clock() + own.timeout_seconds, clock)
    url = urlsplit(node.url).path + path
    status: int | None = None
    try:
        connection.request("GET" if body is None else "POST", url, body, _HEADERS)
        with connection.getresponse() as response:
            status = response.status
            return _read_whole(response, own.max_bytes)
    except TimeoutError:
        return _failed(status, "timed-out", f"no whole answer within {own.timeout_seconds:g} s")
    except ssl.SSLError as error:
        return _failed(status, "unreachable", f"no trusted connection: {type(error).__name__}")
    except (ConnectionRefusedError, socket.gaierror) as error:
        return _failed(status, "unreachable", f"it cannot be reached: {type(error).__name__}")
    except (OSError, HTTPException, ValueError) as error:
        return _failed(status, "broken-off", f"the exchange broke off: {type(error).__name__}")
    finally:
        connection.close()


def _read_whole(response: HTTPResponse, max_bytes: int) -> Reply:
    status = response.status
    if status in _REDIRECTS:
        return _failed(status, "redirected", f"it answered {status}, and is not followed")
    if status != _OK:
        return _failed(status, "http-status", f"it answered {status}")
    content = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > max_bytes:
            return _failed(_OK, "too-large", f"the answer is larger than {max_bytes} bytes")
    declared = response.headers.get("Content-Length")
    if declared is not None and declared.isdigit() and int(declared) != len(content):
        # Reading piece by piece does not notice by itself that the other side stopped early.
        return _failed(_OK, "broken-off", "less came than was announced")
    return Reply(_OK, bytes(content), None)


def _failed(status: int | None, code: str, detail: str) -> Reply:
    return Reply(status, None, NodeFailure(code, detail))
