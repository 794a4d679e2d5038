"""Two services on one PostgreSQL: one history, also when the server is killed under load."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import orjson
import pytest

from audit.verify import verify_store
from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.wiring import open_platform
from tests.conftest import publish_small_model
from tests.databases import SampleDatabase
from tests.faults.report import FaultReport
from tests.journeys.service_process import Service, serving
from tests.models import examples
from tests.postgres import PostgresServer, running_server

_PATH = "/v1/decisions/parcel"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server that may be killed."""
    yield from running_server()


class Replicas:
    """Services on one database, and a key for them."""

    def __init__(self, services: list[Service], key: str, settings: Settings) -> None:
        self.services = services
        self.settings = settings
        self._key = key

    def decide(self, replica: int, number: int, idempotency_key: str) -> tuple[int, bytes]:
        """Ask one of them to decide an order."""
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
        }
        order = examples.order(order_id=f"P-{number}")
        return self.services[replica].call("POST", _PATH, order, headers=headers)


@pytest.fixture
def replicas(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replicas]:
    database = SampleDatabase(tmp_path, server)
    monkeypatch.setenv("CANDOR_DATABASE_URL", database.url)
    settings = Settings(var=tmp_path / "var", database_url=database.url, log_level="error")
    with open_platform(settings) as platform:
        publish_small_model(platform)
        key = create_key(platform, "load", Role.OMS, "test")[1]
    with ExitStack() as stack:
        services = [stack.enter_context(serving(settings.var)) for _ in range(2)]
        yield Replicas(services, key, settings)
    database.close()


def check_history(replicas: Replicas, answered: dict[str, bytes]) -> None:
    """Check that every answer is on record, and the log whole."""
    with open_platform(replicas.settings) as platform:
        report = verify_store(platform.store, [platform.signer.verifier_key], platform.sealer)
        assert report.problems == ()
        assert report.tree_size >= len(answered) + 2
        with platform.store.reading() as reading:
            for body in answered.values():
                receipt = orjson.loads(body)["receipt"]
                record = reading.record(orjson.loads(body)["decision_id"])
                assert record.leaf_index == receipt["leaf_index"]


def test_two_services_answer_an_idempotency_key_once(replicas: Replicas) -> None:
    """The same key sent to both at the same moment leads to one decision."""
    with ThreadPoolExecutor(8) as pool:
        asked = [
            (number, pool.submit(replicas.decide, replica, number, f"k{number}"))
            for number in range(40)
            for replica in (0, 1)
        ]
        answers = [(number, *sent.result()) for number, sent in asked]
    assert {status for _, status, _ in answers} == {200}
    ids: dict[int, set[str]] = {}
    for number, _, body in answers:
        ids.setdefault(number, set()).add(orjson.loads(body)["decision_id"])
    assert all(len(found) == 1 for found in ids.values())
    assert len(set.union(*ids.values())) == 40
    check_history(replicas, {str(number): body for number, _, body in answers})


def test_a_stopped_database_is_told_and_used_when_it_is_back(
    replicas: Replicas, server: PostgresServer
) -> None:
    """Both services answer 503 and are unready; then they go on, and no answer is lost."""
    answered = {"before": replicas.decide(0, 1, "before")[1]}
    server.kill()
    for replica, service in enumerate(replicas.services):
        status, body = replicas.decide(replica, 2, "during")
        assert (status, orjson.loads(body)["code"]) == (503, "store-unavailable")
        status, body = service.call("GET", "/health/ready")
        told = {check["name"]: check["ok"] for check in orjson.loads(body)["checks"]}
        assert (status, told["store"]) == (503, False)
    server.start()
    for replica, service in enumerate(replicas.services):
        status = 0
        while status != 200:
            status, body = replicas.decide(replica, 2, "during")
            assert status in (200, 503), body
        answered[str(replica)] = body
        while service.call("GET", "/health/ready")[0] != 200:
            pass
    assert orjson.loads(answered["0"])["decision_id"] == orjson.loads(answered["1"])["decision_id"]
    check_history(replicas, {name: answered[name] for name in ("before", "0")})


def send_until(
    replicas: Replicas, replica: int, stop: threading.Event
) -> tuple[dict[str, bytes], Counter[str]]:
    answered: dict[str, bytes] = {}
    counted = Counter[str]()
    for number in count():
        if stop.is_set():
            return answered, counted
        key = f"{replica}-{threading.get_ident()}-{number}"
        # What is not answered with 200 is sent again until it is, as a caller should.
        while not stop.is_set():
            try:
                status, body = replicas.decide(replica, number, key)
            except (OSError, http.client.HTTPException):
                continue
            assert status in (200, 503), body
            counted[f"answered {status}"] += 1
            if status == 200:
                answered[key] = body
                break
    raise AssertionError("unreachable: count never ends")


def check_kills(replicas: Replicas, server: PostgresServer, kills: int) -> Counter[str]:
    """Kill a backend or the postmaster under load, again and again; return what was counted."""
    stop, counted = threading.Event(), Counter[str]()
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send_until, replicas, number % 2, stop) for number in range(4)]
        try:
            for number in range(kills):
                stop.wait(1.0)
                if number % 3 == 0:
                    server.kill()
                    server.start()
                    counted["postmaster"] += 1
                else:
                    assert server.kill_backend()
                    counted["backend"] += 1
            stop.wait(2.0)
        finally:
            stop.set()
        answered: dict[str, bytes] = {}
        for future in sent:
            answers, statuses = future.result()
            answered |= answers
            counted += statuses
    assert len(answered) > 4 * kills
    server.start()
    check_history(replicas, answered)
    keys = [orjson.loads(body)["decision_id"] for body in answered.values()]
    assert len(set(keys)) == len(keys)
    assert replicas.decide(0, 1, "afterwards")[0] == 200
    check_retries(replicas, answered)
    return counted


def check_retries(replicas: Replicas, answered: dict[str, bytes]) -> None:
    """Check that a key leads to its one decision, whichever replica is asked."""
    for key in list(answered)[:: len(answered) // 20]:
        number = int(key.rpartition("-")[2])
        for replica in (0, 1):
            status, body = replicas.decide(replica, number, key)
            assert status == 200
            assert orjson.loads(body)["decision_id"] == orjson.loads(answered[key])["decision_id"]


def test_no_answered_decision_is_lost_when_the_server_is_killed(
    replicas: Replicas, server: PostgresServer
) -> None:
    """Three kills of postmaster and backends: every answer is on record, the log whole."""
    check_kills(replicas, server, 3)


@pytest.mark.trial
def test_no_answered_decision_is_lost_in_thirty_kills(
    replicas: Replicas, server: PostgresServer, fault_report: FaultReport
) -> None:
    """Thirty kills of postmaster and backends: every answer is on record, the log whole."""
    began = time.perf_counter()
    counted = check_kills(replicas, server, 30)
    row = fault_report.row("kill -9 under load", "PostgreSQL, two services, four callers")
    row.runs = row.fired = 30
    row.seconds = time.perf_counter() - began
    row.notes = counted
