"""Turns: so many at once, bounded, each within its deadline, and a clock that is told."""

import asyncio
import threading
import time
from datetime import timedelta

import orjson
import pytest
from starlette.testclient import TestClient

from service.batching import WAITED_SECONDS
from service.errors import OverloadedError
from service.turns import Turns
from service.usecases.keys import revoke_key
from service.wiring import Platform
from tests.models import examples
from tests.service.conftest import Headers

PATH = "/v1/decisions/parcel"


def test_whoever_waits_too_long_or_as_one_too_many_is_refused() -> None:
    """Of three with one turn: one works, one waits half its deadline, one is refused at once."""
    may_end = threading.Event()

    async def ask() -> list[object]:
        turns = Turns(at_once=1, waiting_max=1, deadline_seconds=0.4)
        first = asyncio.create_task(turns.run(may_end.wait))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(turns.run(may_end.wait))
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError, match="1 requests wait"):
            await turns.run(may_end.wait)
        with pytest.raises(OverloadedError, match="did not come in time"):
            await second
        may_end.set()
        return [await first, await turns.run(sum, (1, 2))]

    assert asyncio.run(ask()) == [True, 3]


def test_the_wait_for_a_turn_is_taken_off_the_deadline() -> None:
    """What runs knows how long it waited; afterwards nobody does."""

    async def ask() -> tuple[float, float, float]:
        turns = Turns(at_once=1, waiting_max=9, deadline_seconds=60)
        first = asyncio.create_task(turns.run(time.sleep, 0.2))
        await asyncio.sleep(0)
        waited = await turns.run(WAITED_SECONDS.get)
        await first
        return waited, await turns.run(WAITED_SECONDS.get), WAITED_SECONDS.get()

    waited, unhindered, afterwards = asyncio.run(ask())
    assert waited > unhindered
    assert afterwards == 0.0


def test_a_failure_gives_the_turn_back() -> None:
    async def ask() -> float:
        turns = Turns(at_once=1, waiting_max=1, deadline_seconds=5)
        with pytest.raises(ZeroDivisionError):
            await turns.run(divmod, 1, 0)
        return await turns.run(float, "2")

    assert asyncio.run(ask()) == 2.0


def test_a_batch_without_a_turn_says_so_in_each_line(client: TestClient, headers: Headers) -> None:
    client.app.state.turns = Turns(at_once=0, waiting_max=0, deadline_seconds=1)  # type: ignore[attr-defined]  # typed as ASGI
    batch = examples.order() + b"\n" + examples.order()
    given = headers(Content_Type="application/x-ndjson")
    lines = client.post(f"{PATH}/batch", content=batch, headers=given).text.splitlines()
    assert [orjson.loads(line)["code"] for line in lines] == ["overloaded"] * 2


def test_a_clock_that_stepped_back_is_told_and_moves_no_record(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    """Decided all the same, recorded at the last entry's time; ready, and the clock is named."""
    given = headers(Content_Type="application/json")
    first = client.post(PATH, content=examples.order(), headers=given).json()
    right = served.now
    object.__setattr__(served, "now", lambda: right() - timedelta(hours=2))
    second = client.post(PATH, content=examples.order(order_id="P-2"), headers=given).json()
    assert second["decided_at"] == first["decided_at"]
    leaf = client.get(f"/v1/decisions/{second['decision_id']}/leaf", headers=given).content
    assert orjson.loads(leaf)["clock_at"] < first["decided_at"]
    ready = client.get("/health/ready")
    told = {check["name"]: check for check in ready.json()["checks"]}
    assert (ready.status_code, told["clock"]["ok"]) == (200, False)
    assert "behind the last entry" in told["clock"]["detail"]
    object.__setattr__(served, "now", right)
    told = {check["name"]: check for check in client.get("/health/ready").json()["checks"]}
    assert told["clock"]["ok"] is True


def test_a_revoked_key_is_refused_at_once(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    given = headers(Content_Type="application/json")
    assert client.post(PATH, content=examples.order(), headers=given).status_code == 200
    for key in served.api_keys.list_all():
        revoke_key(served, key.id, "test")
    answer = client.post(PATH, content=examples.order(), headers=given)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
