"""A real timestamping authority: `openssl ts -reply` behind a small HTTP server."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[tsa]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa_config]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def run_openssl(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, check=False, timeout=60
    )


class Authority:
    """An authority with a CA and a certificate of its own.

    Parameters
    ----------
    folder
        Where its keys lie.
    name
        Of its certificates.

    Attributes
    ----------
    asked
        The queries that arrived.
    change
        Makes the answer another one.
    status, location
        Of the answer.
    delay_seconds
        Before the answer.
    """

    def __init__(self, folder: Path, name: str = "Test") -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "tsa.cnf").write_text(_CONFIG)
        (folder / "serial").write_text("01\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        made = [*key, "-config", "tsa.cnf", "-subj"]
        for arguments in (
            [
                *["req", "-x509", *made, f"/CN={name} CA", "-keyout", "ca.key", "-out", "ca.pem"],
                *["-days", "3650", "-extensions", "ca"],
            ],
            ["req", *made, f"/CN={name} TSA", "-keyout", "tsa.key", "-out", "tsa.csr"],
            [
                *["x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key"],
                *["-out", "tsa.pem", "-days", "3650", "-set_serial", "7"],
                *["-extfile", "tsa.cnf", "-extensions", "tsa"],
            ],
        ):
            done = run_openssl(folder, *arguments)
            assert done.returncode == 0, done.stderr
        self.ca_file = folder / "ca.pem"
        self.asked: list[bytes] = []
        self.change: Callable[[bytes], bytes] = lambda reply: reply
        self.status = 200
        self.location = ""
        self.delay_seconds = 0.0
        self.freed = threading.Event()
        self._turn = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            """Hands every query on."""

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/tsr"

    def stamp(self, query: bytes) -> bytes:
        """Return the reply that openssl gives to a query."""
        # One at a time: the serial numbers lie in a file.
        with self._turn:
            (self.folder / "query.tsq").write_bytes(query)
            done = run_openssl(
                self.folder,
                *["ts", "-reply", "-queryfile", "query.tsq", "-config", "tsa.cnf"],
                *["-section", "tsa_config", "-signer", "tsa.pem", "-inkey", "tsa.key"],
                *["-out", "reply.tsr"],
            )
            assert done.returncode == 0, done.stderr
            return (self.folder / "reply.tsr").read_bytes()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a query as the test says."""
        query = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.asked.append(query)
        self.freed.wait(self.delay_seconds)
        reply = self.change(self.stamp(query))
        try:
            handler.send_response(self.status)
            if self.location:
                handler.send_header("Location", self.location)
            handler.send_header("Content-Type", "application/timestamp-reply")
            handler.send_header("Content-Length", str(len(reply)))
            handler.end_headers()
            handler.wfile.write(reply)
        except OSError:
            # The other side gave up waiting, which is what the test is about.
            handler.close_connection = True


def accepts(authority: Authority, data: bytes, reply: bytes, folder: Path) -> bool:
    """Tell whether `openssl ts -verify` takes a reply for a timestamp of some bytes."""
    (folder / "data").write_bytes(data)
    (folder / "reply.tsr").write_bytes(reply)
    known = ["-CAfile", str(authority.ca_file)]
    done = run_openssl(folder, "ts", "-verify", "-data", "data", "-in", "reply.tsr", *known)
    return done.returncode == 0 and b"Verification: OK" in done.stdout


@contextmanager
def running_authority(folder: Path, name: str = "Test") -> Iterator[Authority]:
    """Run an authority while the block runs."""
    made = Authority(folder, name)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        made.freed.set()
        made.server.shutdown()
        made.server.server_close()
        thread.join()
