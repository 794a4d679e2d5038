"""Disk and database fail below a running service: 503 and why, nothing lost, back by itself."""

import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import orjson
import pytest

from audit.verify import verify_store
from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.wiring import open_platform
from tests.conftest import publish_small_model
from tests.journeys.service_process import Service, serving
from tests.models import examples

pytestmark = pytest.mark.sqlite("its file is filled up, taken away and slowed down")
_PATH = "/v1/decisions/parcel"
_AT_ONCE, _WAITING, _DEADLINE_SECONDS = 4, 6, 1.0
_NUMBERS = count()


class Failing:
    """A service whose disk and database fail, and what it answered."""

    def __init__(self, service: Service, settings: Settings, key: str) -> None:
        self.service = service
        self.settings = settings
        self.answered: list[str] = []
        self._key = key

    def decide(self) -> tuple[int, str]:
        """Ask for a decision; return the status, and the code if there is none."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        order = examples.order(order_id=f"P-{next(_NUMBERS)}")
        status, content, told = self.service.ask("POST", _PATH, order, headers=headers)
        answer = orjson.loads(content)
        if status == 200:
            self.answered.append(answer["decision_id"])
            return status, ""
        assert (status, told["retry-after"]) == (503, "1"), content
        return status, answer["code"]

    def unready(self) -> dict[str, str]:
        """Return what is not fit, by name, and why."""
        _, content = self.service.call("GET", "/health/ready")
        return {
            one["name"]: one["detail"] for one in orjson.loads(content)["checks"] if not one["ok"]
        }

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what comes by itself."""
        give_up_at = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < give_up_at
            time.sleep(0.1)

    def recovers(self) -> None:
        """Wait until it decides again and is ready."""
        self.wait_until(lambda: self.decide()[0] == 200)
        self.wait_until(lambda: self.service.call("GET", "/health/ready")[0] == 200)


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    """Serve; at the end everything that was ever answered has to be on record."""
    settings = Settings(var=tmp_path_factory.mktemp("failing") / "var", log_level="error")
    with open_platform(settings) as platform:
        publish_small_model(platform)
        key = create_key(platform, "load", Role.OMS, "test")[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANDOR_REQUEST_THREADS", str(_AT_ONCE))
        patch.setenv("CANDOR_QUEUE_MAX_ENTRIES", str(_WAITING))
        patch.setenv("CANDOR_REQUEST_DEADLINE_SECONDS", str(_DEADLINE_SECONDS))
        patch.setenv("CANDOR_LOG_LEVEL", "error")
        with serving(settings.var) as service:
            made = Failing(service, settings, key)
            yield made
    with open_platform(settings) as platform:
        report = verify_store(platform.store, [platform.signer.verifier_key], platform.sealer)
        assert report.problems == ()
        with platform.store.reading() as reading:
            for decision_id in made.answered:
                assert reading.record(decision_id).facts is not None


def test_a_full_disk_is_told_and_forgotten_when_there_is_room(failing: Failing) -> None:
    """No file may grow: nothing is answered, readiness says why; room again: all goes on."""
    assert failing.decide()[0] == 200
    process = failing.service.process.pid
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        assert [failing.decide() for _ in range(3)] == [(503, "store-unavailable")] * 3
        assert "store" in failing.unready()
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)
    failing.recovers()


def test_a_database_that_was_taken_away_is_told_and_used_when_it_is_back(failing: Failing) -> None:
    """The file is moved away and back: 503 in between, and no new file in its place."""
    path = failing.settings.var / "candor.db"
    away = path.with_name("away.db")
    path.rename(away)
    assert failing.decide() == (503, "store-unavailable")
    # By a connection from before, or by a new one.
    assert "moved" in failing.unready()["store"] or "gone" in failing.unready()["store"]
    assert not path.exists()
    away.rename(path)
    failing.recovers()


@contextmanager
def slow_disk(process: int, seconds: float) -> Iterator[None]:
    """Let every flush of a process take so long."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (apt install strace)")
    flushes = "fdatasync,fsync"
    tracer = subprocess.Popen(
        [
            *("strace", "-f", "-p", str(process), "-e", f"trace={flushes}"),
            *("-e", f"inject={flushes}:delay_enter={round(seconds * 1e6)}"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    try:
        if "attached" not in said:
            pytest.skip(f"strace may not attach here: {said.strip()}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        told = tracer.communicate()[1]
    # The flush under way when the tracer left counts too.
    assert "sync(" in told


def test_a_slow_disk_refuses_in_time_and_never_forgets(failing: Failing) -> None:
    """Each flush takes seconds: as many wait as may, the others get 503, reading goes on."""
    with slow_disk(failing.service.process.pid, 3.0), ThreadPoolExecutor(24) as pool:
        sent = [pool.submit(failing.decide) for _ in range(24)]
        failing.wait_until(lambda: "queue" in failing.unready())
        answers = [one.result() for one in sent]
        refused = {code for status, code in answers if status == 503}
        assert refused <= {"overloaded", "deadline-exceeded"}
        # So many may work and wait; all others have to be refused.
        assert sum(code == "overloaded" for _, code in answers) >= 24 - _AT_ONCE - _WAITING
    failing.recovers()
