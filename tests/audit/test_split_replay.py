"""A recorded split is decided again, and every difference is named with its cause."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from audit.causes import Factor
from audit.errors import RecordMalformedError, RecordNotFoundError
from audit.log import append
from audit.records import Identity
from audit.split_records import build_split_entry
from audit.split_replay import replay_split
from audit.store import Record
from models.decide import LoadedModel
from models.domain import ModelRef, PolicyRef
from models.split.decide import SplitDecision
from models.split.policy import SplitPolicy
from tests.audit.sample import SEALER, SIGNER, START
from tests.databases import SampleDatabase
from tests.models.split.examples import example_order, lateness_model
from tests.splits import EXAMPLES, decided, weights

pytestmark = pytest.mark.both_databases

Facts = dict[str, Any]


def record_of(database: SampleDatabase, decision: SplitDecision, body: bytes = b"{}") -> Record:
    store = database.open()
    identity = Identity("d-1", START, "O-1", None, "c-1", None, "oms")
    append(store, [build_split_entry(decision, "CNY", identity, body, None)], SIGNER, SEALER)
    with store.reading() as reading:
        record = reading.record("d-1")
    store.close()
    return record


def load(_model: ModelRef, _policy: PolicyRef) -> tuple[LoadedModel, SplitPolicy]:
    return lateness_model(), weights()


def change(record: Record, edit: Callable[[Facts], None]) -> Record:
    facts = orjson.loads(record.facts or b"")
    edit(facts)
    return replace(record, facts=orjson.dumps(facts))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_replay_is_identical(database: SampleDatabase, name: str) -> None:
    """The stored problem, the named bundle and policy give the same verdict, bit for bit."""
    body = example_order(name)
    result = replay_split(record_of(database, decided(name), body), load, lambda _record: body)
    assert result.match
    assert (result.differences, result.cause) == ((), None)
    assert result.recorded == result.replayed
    assert result.recorded["outcome"] == decided(name).verdict.outcome


def test_the_last_bit_of_an_attribution_counts(database: SampleDatabase) -> None:
    def edit(facts: Facts) -> None:
        margins = facts["verdict"]["scores"]["columns"]["attributions"]["columns"]["margin"]
        margins[0] *= 1 + 2**-52

    result = replay_split(change(record_of(database, decided()), edit), load)
    assert [one.path for one in result.differences] == [
        "/verdict/scores/columns/attributions/columns/margin/0"
    ]
    assert [cause.factor for cause in result.causes] == [Factor.RECORD]


def test_what_is_searched_by_is_compared_too(database: SampleDatabase) -> None:
    def edit(facts: Facts) -> None:
        facts["outcome"], facts["currency"] = "ship", "EUR"

    result = replay_split(change(record_of(database, decided("no-plan")), edit), load)
    assert [one.path for one in result.differences] == ["/currency", "/outcome"]
    assert [cause.factor for cause in result.causes] == [Factor.RECORD]


def test_a_changed_order_is_seen_in_the_problem(database: SampleDatabase) -> None:
    other = example_order("two-parcels").replace(b'"pieces": 40', b'"pieces": 41')
    result = replay_split(record_of(database, decided()), load, lambda _record: other)
    assert [(one.path, one.recorded, one.replayed) for one in result.differences] == [
        ("/problem/warehouses/0/stock/0/pieces", 40, 41)
    ]


def test_an_order_that_no_longer_opens_does_not_hinder_the_replay(database: SampleDatabase) -> None:
    assert replay_split(record_of(database, decided()), load, lambda _record: None).match


def timed_out() -> SplitDecision:
    return replace(decided(), verdict=replace(decided().verdict, is_timed_out=True))


def test_after_a_time_out_the_plan_is_checked_instead_of_searched(database: SampleDatabase) -> None:
    """What a search found in some seconds is checked against constraints and costs."""
    record = record_of(database, timed_out())
    result = replay_split(record, load)
    assert result.match
    assert result.recorded == result.replayed

    def cheaper(facts: Facts) -> None:
        facts["verdict"]["plan"]["cost"]["split_cents"] -= 1

    [one] = replay_split(change(record, cheaper), load).differences
    assert one.path == "/verdict/plan"
    assert "costs" in str(one.replayed)

    def later(facts: Facts) -> None:
        facts["verdict"]["releases"] = []

    [other] = replay_split(change(record, later), load).differences
    assert (other.path, other.recorded) == ("/verdict/releases", [])

    def renamed(facts: Facts) -> None:
        facts["outcome"] = "hold"

    assert [d.path for d in replay_split(change(record, renamed), load).differences] == ["/outcome"]


def test_a_search_that_found_nothing_in_time_replays(database: SampleDatabase) -> None:
    decision = decided("two-parcels", seconds=1e-6)
    assert decision.verdict.is_timed_out
    assert decision.verdict.plan is None
    assert replay_split(record_of(database, decision), load).match


def test_a_record_without_facts_cannot_be_replayed(database: SampleDatabase) -> None:
    record = record_of(database, decided("no-plan"))
    with pytest.raises(RecordNotFoundError):
        replay_split(replace(record, facts=None), load)
    with pytest.raises(RecordMalformedError):
        replay_split(replace(record, facts=b"{}"), load)
