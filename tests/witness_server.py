"""A strict witness over real HTTP, as the C2SP tlog-witness text says it; of our own making.

It keeps the newest checkpoint that it cosigned of each log, and answers 400, 403, 404, 409 or 422
in every case in which the text asks for it.
"""

import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from audit.checkpoint import (
    Checkpoint,
    parse_checkpoint,
    parse_verifier_key,
    verify_checkpoint,
)
from audit.errors import AuditError, CheckpointInvalidError, ProofInvalidError
from audit.merkle import verify_consistency
from tests.audit.witness import Witness

_MOST_PROOF_LINES = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_HASH = re.compile(r"[A-Za-z0-9+/]{43}=")


class RefusedError(Exception):
    """A submission is refused with a status and a body."""

    def __init__(self, status: int, content: bytes = b"no\n") -> None:
        super().__init__(status)
        self.status = status
        self.content = content


class WitnessServer:
    """A witness of some logs.

    Parameters
    ----------
    name, seed
        Of its key.
    logs
        Verifier keys of the logs that it knows.

    Attributes
    ----------
    seen
        Origin to size and root of the newest checkpoint that it cosigned.
    bodies
        What arrived.
    overruled
        Answered instead of what is right: status, content, media type.
    delay_seconds
        Before the answer.
    """

    def __init__(self, name: str, seed: int, logs: list[str]) -> None:
        self.witness = Witness(name, seed)
        self.vkey = self.witness.vkey
        self.logs = list(logs)
        self.seen: dict[str, tuple[int, bytes]] = {}
        self.bodies: list[bytes] = []
        self.overruled: tuple[int, bytes, str] | None = None
        self.delay_seconds = 0.0
        self.freed = threading.Event()
        self._turn = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            """Hands every submission on."""

            def do_POST(self) -> None:
                outer.serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/w"

    def add_checkpoint(self, body: bytes) -> bytes:
        """Answer a submission; raises `RefusedError` in every case that the text names."""
        # 1. The form: an old size, proof lines, an empty line, a checkpoint.
        old_size, proof, note, checkpoint = _parse(body)
        # 2. The log is known, and one of its keys signed.
        keys = [key for key in self.logs if parse_verifier_key(key).name == checkpoint.origin]
        if not keys:
            raise RefusedError(404)
        if not any(_is_signed(note, key) for key in keys):
            raise RefusedError(403)
        # 3. It goes on from what was cosigned last.
        with self._turn:
            last_size, last_root = self.seen.get(checkpoint.origin, (0, b""))
            is_other = old_size == checkpoint.tree_size > 0 and last_root != checkpoint.root_hash
            if old_size != last_size or is_other:
                raise RefusedError(409, f"{last_size}\n".encode())
            if not _is_consistent(old_size, last_root, proof, checkpoint):
                raise RefusedError(422)
            # 4. Remember, then sign.
            self.seen[checkpoint.origin] = (checkpoint.tree_size, checkpoint.root_hash)
        return self.witness.line(note).encode()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Read a submission and answer."""
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.bodies.append(body)
        self.freed.wait(self.delay_seconds)
        status = 200 if handler.path == "/w/add-checkpoint" else 404
        try:
            content = self.add_checkpoint(body)
        except RefusedError as error:
            status, content = error.status, error.content
        media_type = "text/x.tlog.size" if status == 409 else "text/plain"
        if self.overruled is not None:
            status, content, media_type = self.overruled
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", media_type)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
        except OSError:
            # The other side gave up waiting, which is what the test is about.
            handler.close_connection = True


def _is_signed(note: str, key: str) -> bool:
    try:
        verify_checkpoint(note, key)
    except AuditError:
        return False
    return True


def _is_consistent(old: int, old_root: bytes, proof: list[bytes], new: Checkpoint) -> bool:
    if old == 0:
        return not proof
    try:
        verify_consistency(old, new.tree_size, old_root, new.root_hash, proof)
    except ProofInvalidError:
        return False
    return True


def _parse(body: bytes) -> tuple[int, list[bytes], str, Checkpoint]:
    try:
        head, separator, note = body.decode().partition("\n\n")
        checkpoint = parse_checkpoint(note)
    except (UnicodeDecodeError, CheckpointInvalidError) as error:
        raise RefusedError(400) from error
    old_line, *lines = head.split("\n")
    found = _OLD.fullmatch(old_line)
    is_formed = separator and len(lines) <= _MOST_PROOF_LINES and all(map(_HASH.fullmatch, lines))
    if found is None or not is_formed or int(found[1]) > checkpoint.tree_size:
        raise RefusedError(400)
    return int(found[1]), [b64decode(line) for line in lines], note, checkpoint


@contextmanager
def running_witness(name: str, seed: int, logs: list[str]) -> Iterator[WitnessServer]:
    """Run a witness while the block runs."""
    made = WitnessServer(name, seed, logs)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        made.freed.set()
        made.server.shutdown()
        made.server.server_close()
        thread.join()
