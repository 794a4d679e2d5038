"""Around every request: id, trace, security headers, log line, count, and the last catch.

It never looks into bodies. A request id from outside is kept when it is short and plain, so that
it can be found in both systems' logs.
"""

import re
import secrets
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.types import FilteringBoundLogger

from service.errors import InternalError
from service.logs import describe_exception
from service.metrics import Metrics
from service.problems import render_problem

_REQUEST_ID: Final = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")
# W3C trace context, version 00: trace id and parent id, neither all zeros.
_TRACEPARENT: Final = re.compile(
    r"^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$"
)
_SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CLOSED_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
_PAGES: Final = ("/docs",)
# No inline script; Swagger UI sets styles from script and draws its icons from data URLs.
_PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Edge:
    """ASGI middleware; see the module.

    Parameters
    ----------
    app
        What is wrapped.
    log, metrics
        Where lines and counts go.
    retry_after_seconds
        What 503 answers say.
    """

    def __init__(
        self, app: ASGIApp, log: FilteringBoundLogger, metrics: Metrics, retry_after_seconds: int
    ) -> None:
        self._app = app
        self._log = log
        self._metrics = metrics
        self._retry_after_seconds = retry_after_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, send)
        try:
            await self._app(scope, receive, passage.send)
        except Exception as error:  # noqa: BLE001 - the last catch: logged, answered without internals
            self._log.error(
                "unforeseen", request_id=passage.request_id, **describe_exception(error)
            )
            if not passage.status:
                problem = render_problem(
                    InternalError("the request could not be served"),
                    scope["path"],
                    self._retry_after_seconds,
                )
                await problem(scope, receive, passage.send)
        finally:
            self._note(scope, passage)

    def _note(self, scope: Scope, passage: "_Passage") -> None:
        seconds = time.perf_counter() - passage.started
        # The route's pattern and not the path: ids stay out of logs and labels.
        route = getattr(scope.get("route"), "path", "(none)")
        self._metrics.count_request(scope["method"], route, passage.status, seconds)
        self._log.info(
            "request",
            request_id=passage.request_id,
            trace_id=passage.trace_id,
            method=scope["method"],
            route=route,
            status=passage.status,
            milliseconds=round(seconds * 1e3, 3),
        )


class _Passage:
    """One request on its way: what was learned of it, and the headers that it gets."""

    def __init__(self, scope: Scope, send: Send) -> None:
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(16)
        trace = _TRACEPARENT.match(headers.get("traceparent", ""))
        self.trace_id = trace[1] if trace else secrets.token_hex(16)
        self._flags = trace[3] if trace else "00"
        self._policy = _PAGE_POLICY if scope["path"].startswith(_PAGES) else _CLOSED_POLICY
        self._send = send
        self.status = 0
        self.started = time.perf_counter()

    async def send(self, message: Message) -> None:
        """Pass a message on; the first gets the headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            headers["traceparent"] = f"00-{self.trace_id}-{secrets.token_hex(8)}-{self._flags}"
            for name, value in _SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            headers["Content-Security-Policy"] = self._policy
        await self._send(message)
