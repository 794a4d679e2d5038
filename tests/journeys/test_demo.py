"""`candor demo` and `candor serve` in process, with real children, ports and signals."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.application import application
from service.cli.child import find_free_port, running, wait_until
from service.cli.client import Client
from service.cli.demo import TRAINED_KINDS
from service.errors import DemoFailedError
from service.settings import Settings
from service.wiring import open_platform
from tests.journeys.small_models import publish_built_in

HOST = "127.0.0.1"
_WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "var"
    with open_platform(Settings(var=folder)) as platform:
        for kind in TRAINED_KINDS:
            publish_built_in(platform, kind)
    return folder


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    kept = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    yield
    for name, handler in kept.items():
        signal.signal(name, handler)


def signal_when(is_time: Callable[[], bool], which: signal.Signals) -> threading.Thread:
    """Send this process a signal as soon as it is time, as a person at the keyboard would."""

    def watch() -> None:
        give_up_at = time.monotonic() + _WAIT_SECONDS
        while not is_time() and time.monotonic() < give_up_at:
            time.sleep(0.1)
        os.kill(os.getpid(), which)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_the_demonstration_ends_well(var: Path) -> None:
    """One decision in both languages, one chain, proofs checked, replays identical, exit 0."""
    done = CliRunner().invoke(application, ["demo", "--var", str(var)])
    assert done.exit_code == 0, done.output
    assert "one order through admission, risk, split: " in done.stdout
    assert done.stdout.count("proof verified") == done.stdout.count("replay identical")
    assert done.stdout.endswith("replay identical\n")


def test_it_keeps_running_until_interrupted(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All examples, addresses and keys; Ctrl-C ends both servers and exits 0."""
    port, pages = find_free_port(HOST), find_free_port(HOST)
    monkeypatch.setenv("CANDOR_MLFLOW_PORT", str(pages))
    client = Client(HOST, port)
    log = var / "mlflow.log"
    log.unlink(missing_ok=True)
    watcher = signal_when(log.exists, signal.SIGINT)
    done = CliRunner().invoke(
        application, ["demo", "--keep-running", "--port", str(port), "--var", str(var)]
    )
    watcher.join()
    assert done.exit_code == 0, done.output
    assert "admission cross-border-rejected: " in done.stdout
    assert f"http://127.0.0.1:{port}" in done.stdout
    assert f"http://127.0.0.1:{pages}" in done.stdout
    assert "key      auditor" in done.stdout
    assert not client.is_ready()


def test_a_taken_port_is_said(var: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        given = ["--port", str(taken.getsockname()[1]), "--var", str(var)]
        done = CliRunner().invoke(application, ["demo", *given])
    assert done.exit_code == 1
    assert "did not become ready" in done.stderr


def test_a_failed_training_ends_the_demonstration(tmp_path: Path) -> None:
    given = ["demo", "--orders", "1", "--var", str(tmp_path / "var")]
    done = CliRunner().invoke(application, given)
    assert done.exit_code == 1
    assert "demo-failed: candor train admission failed" in done.stderr


def test_serving_ends_well_on_a_signal(var: Path) -> None:
    port = find_free_port(HOST)
    watcher = signal_when(Client(HOST, port).is_ready, signal.SIGTERM)
    given = ["serve", "--port", str(port), "--var", str(var)]
    assert CliRunner().invoke(application, given).exit_code == 0
    watcher.join()


def test_an_answer_that_is_not_good_fails_the_demonstration(var: Path) -> None:
    with pytest.raises(DemoFailedError, match="not answered"):
        Client(HOST, find_free_port(HOST)).get_text("/")
    port = find_free_port(HOST)
    failures: list[str] = []

    def ask() -> bool:
        client = Client(HOST, port)
        if not client.is_ready():
            return False
        try:
            client.get("/v1/kinds", "no key")
        except DemoFailedError as error:
            failures.append(error.detail)
        return True

    watcher = signal_when(ask, signal.SIGTERM)
    CliRunner().invoke(application, ["serve", "--port", str(port), "--var", str(var)])
    watcher.join()
    assert "401" in failures[0]


def test_a_child_that_ignores_the_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cli.child._END_SECONDS", 0.2)
    log = tmp_path / "log"
    stubborn = ["sh", "-c", "trap '' TERM; echo up; while true; do sleep 0.05; done"]
    with running(stubborn, log) as child:
        wait_until(lambda: "up" in log.read_text(), child, log, _WAIT_SECONDS)
    assert child.returncode == -signal.SIGKILL
    with running(["true"], log) as quick:
        quick.wait()
        with pytest.raises(DemoFailedError, match="did not become ready"):
            wait_until(lambda: False, quick, log, _WAIT_SECONDS)
