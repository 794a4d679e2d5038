"""Four services on one PostgreSQL: one history, each checkpoint a continuation of the last."""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import orjson
import pytest

from audit.checkpoint import Checkpoint, verify_checkpoint
from audit.log import consistency
from audit.merkle import verify_consistency
from audit.verify import verify_store
from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.databases import SampleDatabase
from tests.journeys.service_process import Service, serving
from tests.models import examples
from tests.postgres import PostgresServer

_REPLICAS: Final = 4
_PATH: Final = "/v1/decisions/parcel"
_CHECKPOINTS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Load:
    """How many orders are sent to each replica.

    Parameters
    ----------
    batches, lines
        Batches, and lines of each.
    singles
        Orders by themselves.
    """

    batches: int
    lines: int
    singles: int

    @property
    def total(self) -> int:
        """Return the orders of all replicas together."""
        return _REPLICAS * (self.batches * self.lines + self.singles)


@dataclass(frozen=True, slots=True)
class Replicas:
    """Services on one database, and a key for them."""

    services: tuple[Service, ...]
    key: str
    settings: Settings

    def post(self, replica: int, path: str, body: bytes, media_type: str, repeat: str) -> bytes:
        """Send a body to one of them; it must be answered."""
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": media_type,
            "Idempotency-Key": repeat,
        }
        status, answer = self.services[replica].call("POST", path, body, headers=headers)
        assert status == 200, answer
        return answer


@pytest.fixture
def replicas(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replicas]:
    database = SampleDatabase(tmp_path, postgres_server)
    monkeypatch.setenv("CANDOR_DATABASE_URL", database.url)
    settings = Settings(var=tmp_path / "var", database_url=database.url, log_level="error")
    with open_platform(settings) as platform:
        publish_small_model(platform)
        key = create_key(platform, "load", Role.OMS, "test")[1]
    with ExitStack() as stack:
        started = [stack.enter_context(serving(settings.var)) for _ in range(_REPLICAS)]
        yield Replicas(tuple(started), key, settings)
    database.close()


@pytest.mark.trial
def test_four_replicas_write_one_history_of_a_hundred_thousand(replicas: Replicas) -> None:
    """100,000 decisions: every answer is on record, neighbouring checkpoints are consistent."""
    _check_one_history(replicas, Load(batches=80, lines=250, singles=5_000))


def test_four_replicas_write_one_history(replicas: Replicas) -> None:
    """The same with four hundred."""
    _check_one_history(replicas, Load(batches=3, lines=25, singles=25))


def _check_one_history(replicas: Replicas, load: Load) -> None:
    started = time.perf_counter()
    # 1. Two callers at each replica, all at once.
    with ThreadPoolExecutor(2 * _REPLICAS) as pool:
        sent = [
            pool.submit(send, replicas, replica, load)
            for replica in range(_REPLICAS)
            for send in (_send_batches, _send_singles)
        ]
        answers = [place for future in sent for place in future.result()]
    decided = time.perf_counter() - started
    places = dict(answers)
    assert len(places) == len(set(places.values())) == load.total
    # 2. Every answer is on record at its place, and the log is whole.
    with open_platform(replicas.settings) as platform:
        vkey = platform.signer.verifier_key
        report = verify_store(platform.store, [vkey], platform.sealer)
        assert report.problems == ()
        assert report.tree_size >= load.total
        _check_places(platform, places)
        # 3. Each checkpoint continues the one before it.
        checkpoints = _checkpoints(platform, vkey)
        for old, new in pairwise(checkpoints):
            proof = consistency(platform.store, old.tree_size, new.tree_size)
            verify_consistency(old.tree_size, new.tree_size, old.root_hash, new.root_hash, proof)
        assert checkpoints[-1].tree_size == report.tree_size
    sys.stdout.write(
        f"{load.total} decisions by {_REPLICAS} replicas in {decided:.0f} s, "
        f"{len(checkpoints)} checkpoints, {len(checkpoints) - 1} consistency proofs hold\n"
    )


def _send_batches(replicas: Replicas, replica: int, load: Load) -> list[tuple[str, int]]:
    places: list[tuple[str, int]] = []
    for number in range(load.batches):
        name = f"{replica}-b{number}"
        body = b"\n".join(examples.order(order_id=f"P-{name}-{line}") for line in range(load.lines))
        path = f"{_PATH}/batch"
        said = replicas.post(replica, path, body, "application/x-ndjson", name)
        places += [_place(line) for line in said.splitlines()]
    return places


def _send_singles(replicas: Replicas, replica: int, load: Load) -> list[tuple[str, int]]:
    places: list[tuple[str, int]] = []
    for number in range(load.singles):
        name = f"{replica}-s{number}"
        body = examples.order(order_id=f"P-{name}")
        places.append(_place(replicas.post(replica, _PATH, body, "application/json", name)))
    return places


def _place(answer: bytes) -> tuple[str, int]:
    said = orjson.loads(answer)
    return said["decision_id"], said["receipt"]["leaf_index"]


def _check_places(platform: Platform, places: dict[str, int]) -> None:
    with platform.store.reading() as reading:
        indexes = sorted(places.values())
        ids = {index: name for name, index in places.items()}
        for begin in range(0, reading.tree_size(), _CHECKPOINTS_AT_ONCE):
            for record in reading.records_between(begin, begin + _CHECKPOINTS_AT_ONCE):
                expected = ids.pop(record.leaf_index, record.entry_id)
                assert record.entry_id == expected
        assert not ids, f"{len(ids)} of {len(indexes)} answered decisions are not on record"


def _checkpoints(platform: Platform, vkey: str) -> Sequence[Checkpoint]:
    found: list[Checkpoint] = []
    with platform.store.reading() as reading:
        most = reading.tree_size()
        least = 0
        while part := reading.checkpoints_between(least, most, _CHECKPOINTS_AT_ONCE):
            found += [verify_checkpoint(note, vkey) for _, note in part]
            least = part[-1][0] + 1
    return found
