"""One call of a node: bounded in time and size, led nowhere, and never raising."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from models.node import Node
from service.exchange import Bounds
from service.outside import ask_node, bounds_within, call_node
from tests.oip_server import OipServer, running_node
from tests.outside import outside_model

BOUNDS = Bounds(5.0, 65_536)


@pytest.fixture
def node() -> Iterator[OipServer]:
    with running_node() as running:
        yield running


def declared(url: str) -> Node:
    return outside_model(url=url, timeout_ms=None, max_response_bytes=None).node


@contextmanager
def raw_server(*chunks: bytes) -> Iterator[str]:
    """Answer one connection with exactly these bytes, then close it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        made, _ = listener.accept()
        with made:
            made.recv(65_536)
            for chunk in chunks:
                made.sendall(chunk)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join()
        listener.close()


def get(url: str, bounds: Bounds = BOUNDS) -> tuple[bytes | None, str | None]:
    reply = call_node(declared(url), "/v2", bounds, time.monotonic)
    return reply.content, None if reply.failure is None else reply.failure.code


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((HEAD + b"Content-Length: 2\r\n\r\n{}",), (b"{}", None)),
        ((HEAD + b"Connection: close\r\n\r\n", b"{", b"}"), (b"{}", None)),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",), (b"{}", None)),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",), (None, "broken-off")),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}",), (None, "broken-off")),
        ((HEAD + b"Content-Length: 9\r\n\r\n{}",), (None, "broken-off")),
        ((HEAD + b"Content-Length: many\r\n\r\n{}",), (b"{}", None)),
        ((b"",), (None, "broken-off")),
        ((b"SSH-2.0-OpenSSH\r\n",), (None, "broken-off")),
        ((b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",), (None, "broken-off")),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), (None, "http-status")),
        ((b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",), (None, "redirected")),
    ],
)
def test_what_is_not_a_whole_answer_is_named(
    chunks: tuple[bytes, ...], expected: tuple[bytes | None, str | None]
) -> None:
    with raw_server(*chunks) as url:
        assert get(url) == expected


def test_an_answer_may_be_as_large_as_allowed_and_no_larger(node: OipServer) -> None:
    node.metadata = b"x" * 1_000
    assert get(node.url, replace(BOUNDS, max_bytes=1_000))[0] == b"x" * 1_000
    assert get(node.url, replace(BOUNDS, max_bytes=999)) == (None, "too-large")


def test_the_tighter_bound_counts() -> None:
    tight = outside_model(timeout_ms=100, max_response_bytes=10).node
    loose = outside_model(timeout_ms=9_000, max_response_bytes=10**9).node
    assert bounds_within(BOUNDS, tight) == Bounds(0.1, 10)
    assert bounds_within(BOUNDS, loose) == BOUNDS
    assert bounds_within(BOUNDS, declared("http://n")) == BOUNDS


def test_a_deadline_that_has_passed_asks_nobody(node: OipServer) -> None:
    """Before each wait the deadline is looked at, so a clock that jumps ends the exchange."""
    moments = iter([0.0, *[100.0] * 20])
    reply = call_node(declared(node.url), "/v2", BOUNDS, lambda: next(moments))
    assert reply.failure is not None
    assert reply.failure.code == "timed-out"
    assert node.paths == []


def test_every_address_of_a_name_is_tried(node: OipServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first refuses; the next answers."""
    honest = socket.getaddrinfo

    def two(host: str, port: int, **more: int) -> list[object]:
        [found] = honest(host, port, **more)
        return [(*found[:4], ("127.0.0.1", 1)), found]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    assert get(node.url)[1] is None


def test_a_name_that_nobody_knows_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_asked: object, **_more: object) -> list[object]:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert get("http://no-such-node") == (None, "unreachable")


def test_proxies_are_not_asked(node: OipServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert get(node.url)[1] is None


def test_a_call_is_what_is_recorded_of_it(node: OipServer) -> None:
    moments: Callable[[], float] = time.monotonic
    body = b'{"id": "r-1", "inputs": [], "outputs": []}'
    node.change = lambda _: b"pi\xc3\xb1ata"
    call = ask_node(declared(node.url), body, "r-1", BOUNDS, moments)
    assert (call.status, call.body, call.failure) == (200, "piñata", None)
    assert (len(call.request_sha256), len(call.body_sha256 or "")) == (64, 64)
    node.change = lambda _: b"\xff"
    broken = ask_node(declared(node.url), body, "r-1", BOUNDS, moments)
    assert (broken.body, broken.failure is not None) == (None, True)
    assert broken.body_sha256 is not None


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "node.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_https_needs_a_certificate_that_the_system_trusts(
    tmp_path: Path, node: OipServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    # The handshake is made in the connection's own thread, not where connections are taken.
    node.server.socket = context.wrap_socket(
        node.server.socket, server_side=True, do_handshake_on_connect=False
    )
    monkeypatch.setattr(node.server, "handle_error", lambda *_about: None)
    url = node.url.replace("http:", "https:")
    assert get(url) == (None, "unreachable")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert get(url)[1] is None
