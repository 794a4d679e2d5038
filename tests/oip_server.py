"""A small real server of the Open Inference Protocol V2, well or ill behaved as a test says.

It reads the requests of MLServer's own client (content types in `parameters`) and answers in its
format, with nulls in unset places.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

Answer = dict[str, Any]
MODEL, VERSION = "fragile-parcel", "3"
WEIGHTS = {"drop_height_cm": 0.03, "double_walled": -1.0, "material": 0.5}
BASE = -2.0


class _Listener(ThreadingHTTPServer):
    """Takes a batch's calls at once; the default backlog would delay them."""

    request_queue_size = 64
    daemon_threads = True


class OipServer:
    """A node on a free port, with a logistic model of three features.

    Attributes
    ----------
    requests
        Bodies of the inference requests that arrived.
    change
        Makes the answer another one; an answer of bytes is sent as it is.
    status, location, declared_bytes
        Of the answer.
    delay_seconds, drip_seconds
        Before the answer, and after each of its bytes.
    drips_headers
        Whether it never gets beyond its headers.
    hangs_up
        Whether it closes the connection in the middle of the answer.
    metadata, is_ready
        What it says of itself.
    """

    def __init__(self) -> None:
        self.requests: list[Answer] = []
        self.paths: list[str] = []
        self.change: Callable[[Answer], Answer | bytes] = lambda answer: answer
        self.status = 200
        self.location = ""
        self.declared_bytes: int | None = None
        self.delay_seconds = 0.0
        self.drip_seconds = 0.0
        self.drips_headers = False
        self.hangs_up = False
        self.is_ready = True
        self.metadata: Answer | bytes = {
            "name": MODEL,
            "versions": [VERSION],
            "platform": "",
            "inputs": [
                {"name": "drop_height_cm", "datatype": "FP64", "shape": [-1, 1]},
                {"name": "double_walled", "datatype": "BOOL", "shape": [-1, 1]},
                {"name": "material", "datatype": "BYTES", "shape": [-1, 1]},
            ],
            "outputs": [
                {"name": name, "datatype": "FP64", "shape": [-1]}
                for name in ("damage_probability", "contributions", "expected_value")
            ],
        }
        self.freed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            """Hands every request on."""

            def do_GET(self) -> None:
                outer.tell(self)

            def do_POST(self) -> None:
                outer.infer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
                """Keep the test's output clean."""

        self.server = _Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def tell(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer for itself: readiness and metadata."""
        self.paths.append(handler.path)
        if handler.path.endswith("/ready"):
            self._send(handler, b"{}", 200 if self.is_ready else 503)
        else:
            told = self.metadata
            self._send(handler, told if isinstance(told, bytes) else orjson.dumps(told), 200)

    def infer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer an inference request as the test says."""
        self.paths.append(handler.path)
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        request = orjson.loads(body)
        self.requests.append(request)
        self.freed.wait(self.delay_seconds)
        answer = self.change(self.answer_to(request))
        content = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        try:
            if self.drips_headers:
                for _ in range(1_000):
                    handler.wfile.write(b"HTTP/1.1 200 OK\r\n"[:1])
                    if self.freed.wait(self.drip_seconds):
                        return
            if self.hangs_up:
                self._send(handler, content[: len(content) // 2], self.status, len(content))
            else:
                self._send(handler, content, self.status, self.declared_bytes)
        except OSError:
            # The other side gave up waiting, which is what the test is about.
            handler.close_connection = True

    def answer_to(self, request: Answer) -> Answer:
        """Return the honest answer."""
        sent = {one["name"]: one["data"][0] for one in request["inputs"]}
        values = {
            "drop_height_cm": WEIGHTS["drop_height_cm"] * (sent.get("drop_height_cm") or 0.0),
            "double_walled": WEIGHTS["double_walled"] * sent.get("double_walled", False),
            "material": WEIGHTS["material"] * (sent.get("material") == "glass"),
        }
        margin = math.fsum([BASE, *values.values()])
        made = {
            "damage_probability": [1 / (1 + math.exp(-margin))],
            "contributions": list(values.values()),
            "expected_value": [BASE],
        }
        outputs = [
            {
                "name": name,
                "shape": [1, len(made[name])],
                "datatype": "FP64",
                "parameters": {"content_type": "np"},
                "data": made[name],
            }
            for name in (one["name"] for one in request["outputs"])
        ]
        return {
            "model_name": MODEL,
            "model_version": VERSION,
            "id": request["id"],
            "parameters": None,
            "outputs": outputs,
        }

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        content: bytes,
        status: int,
        declared: int | None = None,
    ) -> None:
        handler.send_response(status)
        if self.location:
            handler.send_header("Location", self.location)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(declared or len(content)))
        handler.end_headers()
        if not self.drip_seconds:
            handler.wfile.write(content)
            return
        for byte in content:
            handler.wfile.write(bytes([byte]))
            if self.freed.wait(self.drip_seconds):
                return


@contextmanager
def running_node() -> Iterator[OipServer]:
    """Run a node while the block runs."""
    node = OipServer()
    thread = threading.Thread(target=node.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield node
    finally:
        node.freed.set()
        node.server.shutdown()
        node.server.server_close()
        thread.join()
