"""Sources are pulled over real HTTP: what changed is loaded, what fails is told and tried again."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from models.errors import ReferenceTableError
from service.cli.application import application
from service.errors import (
    ReferenceNotFoundError,
    ReferenceRefusedError,
    ReferenceUnreachableError,
)
from service.fetch import fetch
from service.logs import open_log
from service.reference_versions import Origin
from service.settings import Settings
from service.usecases import pull as pull_module
from service.usecases.pull import Puller, scheduled_pulls
from service.wiring import Platform, open_platform
from tests.service.listed import destinations

NAME = "sanctioned_destinations"
_PATIENCE_SECONDS = 20.0


class Source:
    """A list on a real HTTP server; a test says what it answers."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.body = orjson.dumps(destinations("SG"))
        self.etag: str | None = None
        self.status = 200
        self.location = ""
        self.declared: int | None = None
        self.delay_seconds = 0.0
        self.drip_seconds = 0.0
        self.freed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            """Answers as the source says."""

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/list.json"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Send what is to be sent; a client that went away is not missed."""
        known = request.headers.get("If-None-Match")
        self.asked.append(known)
        self.freed.wait(self.delay_seconds)
        try:
            if self.etag is not None and known == self.etag:
                request.send_response(304)
                request.end_headers()
                return
            request.send_response(self.status)
            if self.etag is not None:
                request.send_header("ETag", self.etag)
            if self.location:
                request.send_header("Location", self.location)
            size = len(self.body) if self.declared is None else self.declared
            request.send_header("Content-Length", str(size))
            request.end_headers()
            if not self.drip_seconds:
                request.wfile.write(self.body)
                return
            for byte in self.body:
                request.wfile.write(bytes([byte]))
                self.freed.wait(self.drip_seconds)
        except (BrokenPipeError, ConnectionResetError):
            self.status = -1


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.freed.set()
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@contextmanager
def pulling(tmp_path: Path, source: Source, **changes: object) -> Iterator[Platform]:
    settings = Settings.model_validate(
        {
            "var": tmp_path / "var",
            "model_refresh_seconds": 0,
            "log_level": "warning",
            "reference_sources": {NAME: source.url},
            "reference_pull_seconds": 0.02,
            "reference_timeout_seconds": 0.5,
            **changes,
        }
    )
    with open_platform(settings) as platform:
        yield platform


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_changed_list_is_loaded_and_an_unchanged_one_is_not(
    tmp_path: Path, source: Source
) -> None:
    with pulling(tmp_path, source) as platform:
        puller = Puller(platform, "test")
        first = puller.pull(NAME)
        assert first is not None
        assert (first.is_new, first.loaded.version.origin) == (True, Origin.HTTP)
        # Without an ETag it is fetched again, and found to be the same.
        second = puller.pull(NAME)
        assert second is not None
        assert not second.is_new
        source.body, source.etag = orjson.dumps(destinations("US")), '"2"'
        third = puller.pull(NAME)
        assert third is not None
        assert third.is_new
        assert puller.pull(NAME) is None
        assert source.asked == [None, None, None, '"2"']
        assert len(platform.references.versions(NAME)) == 2


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"<html>", ReferenceTableError, "JSON"),
        (b"", ReferenceTableError, "JSON"),
        (b'{"name": "sanctioned_destinations"}', ReferenceTableError, "title"),
        (orjson.dumps(destinations(name="other")), ReferenceRefusedError, "served the table other"),
        (b" " * 3000, ReferenceUnreachableError, "larger than 2000 bytes"),
    ],
)
def test_what_is_not_the_table_is_refused_every_time(
    *, tmp_path: Path, source: Source, body: bytes, error: type[Exception], message: str
) -> None:
    """Its ETag is not remembered, so the failure does not fall silent."""
    source.body, source.etag = body, '"1"'
    with pulling(tmp_path, source, reference_max_bytes=2000) as platform:
        puller = Puller(platform, "test")
        for _ in range(2):
            with pytest.raises(error, match=message):
                puller.pull(NAME)
        assert source.asked == [None, None]
        assert platform.references.in_force() == {}


def test_a_source_must_be_named(tmp_path: Path, source: Source) -> None:
    with pulling(tmp_path, source) as platform:
        puller = Puller(platform, "test")
        assert puller.names() == [NAME]
        with pytest.raises(ReferenceNotFoundError) as refused:
            puller.pull("nothing")
        assert "CANDOR_REFERENCE_SOURCES" in refused.value.remedy


def ask(source: Source, etag: str | None = None) -> bytes | None:
    fetched = fetch(source.url, etag, timeout_seconds=0.3, max_bytes=10_000)
    return None if fetched is None else fetched.content


def test_a_source_that_is_slow_is_given_up(source: Source) -> None:
    source.delay_seconds = 30.0
    with pytest.raises(ReferenceUnreachableError, match="kept silent"):
        ask(source)


def test_a_source_that_drips_is_given_up(source: Source) -> None:
    """Each byte comes in time; the whole does not."""
    source.drip_seconds = 0.05
    with pytest.raises(ReferenceUnreachableError, match=r"longer than 0\.3 s"):
        ask(source)


def test_a_source_that_breaks_off_is_noticed(source: Source) -> None:
    source.declared = len(source.body) + 5
    with pytest.raises(ReferenceUnreachableError, match="broke off"):
        ask(source)


@pytest.mark.parametrize("status", [304, 404, 500])
def test_another_status_is_a_failure(source: Source, status: int) -> None:
    """Also 304 when nothing was known: there is nothing to be unchanged."""
    source.status, source.body = status, b""
    with pytest.raises(ReferenceUnreachableError, match=f"answered {status}"):
        ask(source)


def test_a_redirect_is_followed_within_http(source: Source) -> None:
    source.status, source.location = 302, source.url + "?again"
    with pytest.raises(ReferenceUnreachableError, match="answered 302"):
        ask(source)
    assert len(source.asked) > 2


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/", "http://[x/"]
)
def test_a_redirect_elsewhere_is_not_followed(source: Source, location: str) -> None:
    source.status, source.location = 302, location
    with pytest.raises(ReferenceUnreachableError):
        ask(source)
    assert len(source.asked) == 1


def test_nobody_listens(source: Source) -> None:
    source.server.socket.close()
    with pytest.raises(ReferenceUnreachableError, match="cannot be reached"):
        fetch("http://127.0.0.1:1/x", None, timeout_seconds=1, max_bytes=10)


def test_the_service_pulls_again_and_again(
    tmp_path: Path,
    source: Source,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through rubbish, an error and an unforeseen failure the thread goes on, and tells each."""
    with pulling(tmp_path, source) as platform:

        def counted(result: str) -> float:
            labels = {"table": NAME, "result": result}
            value = platform.metrics.registry.get_sample_value(
                "candor_reference_pulls_total", labels
            )
            return value or 0.0

        with scheduled_pulls(platform, open_log("info")):
            wait_until(lambda: counted("loaded") == 1 and counted("unchanged") > 0)
            source.body = b"rubbish"
            wait_until(lambda: counted("failed") > 0)
            source.body = orjson.dumps(destinations("US"))
            wait_until(lambda: counted("loaded") == 2)
            failed = counted("failed")
            with monkeypatch.context() as broken:
                broken.setattr(pull_module, "fetch", lambda *_given, **_named: 1 / 0)
                wait_until(lambda: counted("failed") > failed)
            source.body = orjson.dumps(destinations("JP"))
            wait_until(lambda: counted("loaded") == 3)
        asked = len(source.asked)
        time.sleep(0.1)
        assert len(source.asked) == asked
        assert (
            platform.references.table(platform.references.version(NAME).version.digest).rows[0].id
            == "D-JP"
        )
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    failures = [line for line in lines if line["event"] == "reference-pull-failed"]
    assert {"reference-invalid"} < {line.get("code") for line in failures}
    assert any(line.get("exception") == "ZeroDivisionError" for line in failures)
    assert [line["rows"] for line in lines if line["event"] == "reference-loaded"] == [1, 1, 1]


def test_a_service_that_stops_does_not_wait_for_a_source_that_hangs(
    tmp_path: Path, source: Source
) -> None:
    source.delay_seconds = 30.0
    changes = {"shutdown_grace_seconds": 0, "reference_timeout_seconds": 1.0}
    with pulling(tmp_path, source, **changes) as platform:
        with scheduled_pulls(platform, open_log("error")):
            wait_until(lambda: len(source.asked) == 1)
        assert platform.references.in_force() == {}
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "reference-pull"])


def test_by_command_all_sources_are_pulled(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {NAME: source.url, "other": "http://127.0.0.1:1/x"}
    monkeypatch.setenv("CANDOR_REFERENCE_SOURCES", json.dumps(sources))
    var = ["--var", str(tmp_path / "var")]

    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(application, ["reference", "pull", *arguments, *var])
        return done.exit_code, done.stdout, done.stderr

    code, stdout, stderr = run("--json")
    answer = orjson.loads(stdout)
    assert (code, [one["name"] for one in answer["pulled"]]) == (1, [NAME])
    assert [one["code"] for one in answer["failed"]] == ["reference-unreachable"]
    assert "other: reference-unreachable" in stderr
    code, stdout, _ = run(NAME)
    assert (code, "was in force already" in stdout) == (0, True)
    assert run("nothing")[0] == 1


@pytest.mark.parametrize(
    "sources", ["{", '{"a": "ftp://x/y"}', '{"a": "https://me:secret@x/y"}', "[]"]
)
def test_sources_are_http_addresses_without_secrets(
    sources: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANDOR_REFERENCE_SOURCES", sources)
    done = CliRunner().invoke(application, ["reference", "pull", "--var", str(tmp_path)])
    assert (done.exit_code, "CANDOR_reference_sources" in done.stderr) == (1, True)
    assert "secret" not in done.stderr
