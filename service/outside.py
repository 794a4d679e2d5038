"""Asking an outside node over HTTP, within the bounds of `service.exchange`.

Only the address that an operator published is asked. Nothing is raised for what the node does:
every failure is a value that is recorded.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from models.inference import NodeFailure
from models.node import Node
from models.outside_verdict import NodeCall
from service.exchange import Bounds, Reply, exchange

_JSON: Final = {"Accept": "application/json", "Content-Type": "application/json"}


def bounds_within(bounds: Bounds, node: Node) -> Bounds:
    """Return the node's own bounds where they are tighter."""
    seconds, most = bounds.timeout_seconds, bounds.max_bytes
    if node.timeout_ms is not None:
        seconds = min(seconds, node.timeout_ms / 1e3)
    if node.max_response_bytes is not None:
        most = min(most, node.max_response_bytes)
    return Bounds(seconds, most)


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
    reply = call_node(node, f"{node.model_path()}/infer", bounds, clock, body)
    latency = (clock() - begin) * 1e3
    content, text = reply.content, None
    failed = reply.failure
    failure = None if failed is None else NodeFailure(failed.code, failed.detail)
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


def call_node(
    node: Node,
    path: str,
    bounds: Bounds,
    clock: Callable[[], float],
    body: bytes | None = None,
) -> Reply:
    """Send one request to a node and read the whole answer.

    Parameters
    ----------
    path
        Below the node's base address.
    body
        Posted; None asks with GET.
    """
    own = bounds_within(bounds, node)
    return exchange(node.url + path, own, clock, body=body, headers=_JSON)
