"""Kill -9 under load: what was answered is recorded, and the log is whole."""

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import orjson
import pytest

from audit.reading import Reading
from audit.verify import verify_store
from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.wiring import open_platform
from tests.conftest import publish_small_model
from tests.faults.report import FaultReport, Row
from tests.journeys.service_process import Service, serving
from tests.models import examples

_THREADS = 4
_ANSWERS_BEFORE_KILL = 40


def send_until_dead(service: Service, key: str, enough: threading.Event) -> dict[str, bytes]:
    answered: dict[str, bytes] = {}
    for number in count():
        try:
            status, body = service.call(
                "POST",
                "/v1/decisions/parcel",
                examples.order(order_id=f"P-{number}"),
                headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            )
        except (OSError, http.client.HTTPException):
            return answered
        assert status == 200, body
        answered[orjson.loads(body)["decision_id"]] = body
        if len(answered) == _ANSWERS_BEFORE_KILL:
            enough.set()
    raise AssertionError("unreachable: count never ends")


def check_index(reading: Reading) -> None:
    """Check that no place is empty and no order was recorded twice."""
    tree_size = reading.tree_size()
    records = reading.records_between(0, tree_size)
    assert [record.leaf_index for record in records] == list(range(tree_size))
    assert len({record.entry_id for record in records}) == tree_size


def crash_once(var: Path, key: str) -> dict[str, bytes]:
    enough = threading.Event()
    with serving(var) as service, ThreadPoolExecutor(_THREADS) as pool:
        sent = [pool.submit(send_until_dead, service, key, enough) for _ in range(_THREADS)]
        assert enough.wait(60)
        service.kill()
        answered: dict[str, bytes] = {}
        for future in sent:
            answered |= future.result()
        return answered


def check_crashes(var: Path, rounds: int, row: Row) -> None:
    settings = Settings(var=var)
    with open_platform(settings) as platform:
        publish_small_model(platform)
        key = create_key(platform, "load", Role.OMS, "test")[1]
    answered: dict[str, bytes] = {}
    for _ in range(rounds):
        began = time.perf_counter()
        answered |= crash_once(var, key)
        with open_platform(settings) as platform:
            report = verify_store(platform.store, [platform.signer.verifier_key], platform.sealer)
            assert report.problems == ()
            with platform.store.reading() as reading:
                assert report.tree_size == reading.tree_size() >= len(answered) + 2
                for decision_id in answered:
                    assert reading.record(decision_id).facts is not None
                check_index(reading)
        row.add(seconds=time.perf_counter() - began)
    row.notes["answered"] = len(answered)
    with serving(var) as service:
        for decision_id, first in list(answered.items())[:: len(answered) // 20]:
            status, body = service.call(
                "GET",
                f"/v1/decisions/{decision_id}",
                headers={"Authorization": f"Bearer {key}"},
            )
            again, before = orjson.loads(body), orjson.loads(first)
            assert status == 200
            assert {name: again[name] for name in before} == before


def test_no_answered_decision_is_lost_when_the_service_is_killed(tmp_path: Path) -> None:
    """Three times killed under load: every answer is on record, index dense, verify ok."""
    check_crashes(tmp_path / "var", 3, Row("", ""))


@pytest.mark.trial
def test_no_answered_decision_is_lost_in_a_hundred_kills(
    tmp_path: Path, fault_report: FaultReport
) -> None:
    """A hundred times killed under load: every answer is on record, index dense, verify ok."""
    row = fault_report.row("kill -9 under load", "the service, SQLite, four callers")
    check_crashes(tmp_path / "var", 100, row)
