"""No answer without a record: a store that cannot be written gives 503 and records nothing."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from audit.errors import StoreUnavailableError
from audit.verify import verify_store
from service.auth import Role
from service.errors import OverloadedError
from service.settings import Settings
from service.wiring import Platform, open_platform
from tests.models import examples
from tests.service.conftest import Headers

PATH = "/v1/decisions/parcel"


def tree_size(platform: Platform) -> int:
    with platform.store.reading() as reading:
        return reading.tree_size()


@pytest.mark.sqlite("its pragmas make it unwritable")
@pytest.mark.parametrize("pragma", ["query_only=1", "max_page_count=1"])
def test_a_store_that_cannot_be_written_gives_503_and_no_record(
    client: TestClient, served: Platform, headers: Headers, pragma: str
) -> None:
    """A read-only store and a full disk: 503, nothing recorded; afterwards all goes on."""
    before = tree_size(served)
    engine = served.store._engine

    def spoil(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", spoil)
    engine.dispose()
    given = headers(Content_Type="application/json", Idempotency_Key="again")
    # Long enough to need pages that the file does not have yet.
    order = examples.order(note="x" * 200_000)
    answer = client.post(PATH, content=order, headers=given)
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
    assert answer.headers["Retry-After"] == "1"
    batch = client.post(
        f"{PATH}/batch",
        content=order + b"\n" + order,
        headers=headers(Content_Type="application/x-ndjson"),
    )
    lines = [orjson.loads(line) for line in batch.text.splitlines()]
    assert [line["code"] for line in lines] == ["store-unavailable"] * 2
    event.remove(engine, "connect", spoil)
    engine.dispose()
    assert tree_size(served) == before
    assert client.post(PATH, content=order, headers=given).status_code == 200
    assert verify_store(served.store, [served.signer.verifier_key], served.sealer).ok


def test_a_full_queue_gives_503(
    client: TestClient, served: Platform, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_entries: object) -> None:
        raise OverloadedError("full")

    monkeypatch.setattr(served.writer, "record", refuse)
    answer = client.post(
        PATH, content=examples.order(), headers=headers(Content_Type="application/json")
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


def test_an_override_that_cannot_be_recorded_gives_503(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    given = headers(Content_Type="application/json")
    decided = client.post(PATH, content=examples.order(), headers=given).json()
    served.writer.close()
    form = {"outcome": "accept", "reason_code": "X"}
    path = f"/v1/decisions/{decided['decision_id']}/override"
    answer = client.post(path, json=form, headers=headers(Role.OPERATOR))
    assert answer.status_code == 503
    read = client.get(f"/v1/decisions/{decided['decision_id']}", headers=given).json()
    assert read["overrides"] == []


def not_a_folder(path: Path) -> None:
    path.write_bytes(b"")


def not_a_database(path: Path) -> None:
    path.mkdir()
    (path / "candor.db").write_bytes(b"not a database" * 1000)


@pytest.mark.sqlite("its file is no database")
@pytest.mark.parametrize("spoil", [not_a_folder, not_a_database])
def test_a_store_that_cannot_be_opened_says_so(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path / "var")
    settings = Settings(var=tmp_path / "var")
    with pytest.raises(StoreUnavailableError), open_platform(settings):
        pass
