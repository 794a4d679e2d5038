"""A recorded decision is decided again, and every difference is named with its cause."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from audit.causes import Factor
from audit.errors import RecordMalformedError, RecordNotFoundError
from audit.log import append
from audit.records import Identity, build_decision_entry, parse_personal
from audit.replay import replay
from audit.store import Record
from models.counterfactual import with_counterfactuals
from models.decide import LoadedModel, decide, decide_many
from models.decision import Decision
from models.domain import Json, ModelRef, PolicyRef
from tests.audit.sample import SEALER, SIGNER, START, logged
from tests.databases import SampleDatabase
from tests.models.examples import loaded, order

pytestmark = pytest.mark.both_databases

BAD = {"recent_orders": [{"ordered": 4, "returned": 3}, {"ordered": 7, "returned": 6}]}


def no_clock() -> float:
    return 0.0


def record_of(
    database: SampleDatabase, decision: Decision, body: bytes, name: str = "d-1"
) -> Record:
    store = database.open()
    identity = Identity(name, START, "P-1", None, "c-1", None, "oms")
    append(store, [build_decision_entry(decision, identity, body, None)], SIGNER, SEALER)
    with store.reading() as reading:
        record = reading.record(name)
    store.close()
    return record


def decided(body: bytes) -> Decision:
    return with_counterfactuals(loaded(), body, decide(loaded(), body, no_clock), no_clock)


@pytest.fixture
def record(database: SampleDatabase) -> Record:
    body = order(customer=BAD)
    return record_of(database, decided(body), body)


def load(_model: ModelRef, _policy: PolicyRef) -> LoadedModel:
    return loaded()


def open_order(record: Record) -> bytes:
    return parse_personal(SEALER.open(record.entry_id, record.sealed or b"")).order


def change(record: Record, edit: Callable[[dict[str, Json]], None]) -> Record:
    facts = orjson.loads(record.facts or b"")
    edit(facts)
    return replace(record, facts=orjson.dumps(facts))


def test_a_replay_is_identical(record: Record) -> None:
    """The stored bytes, the named model and the code give the same verdict, bit for bit."""
    result = replay(record, load, open_order)
    assert result.match
    assert result.differences == ()
    assert result.cause is None
    assert result.recorded == result.replayed
    assert result.recorded["outcome"] == "reject"


def test_decisions_made_in_a_batch_replay_singly(database: SampleDatabase) -> None:
    """Whatever the batch a decision was scored in, its replay is identical."""
    bodies = [order(stock=float(stock)) for stock in range(0, 200, 7)]
    orders = [loaded().schema.parse(body) for body in bodies]
    decisions = decide_many(loaded(), orders, no_clock)
    decisions = [
        with_counterfactuals(loaded(), body, decision, no_clock)
        for body, decision in zip(bodies, decisions, strict=True)
    ]
    for number, (decision, body) in enumerate(zip(decisions, bodies, strict=True)):
        recorded = record_of(database, decision, body, f"d-{number}")
        assert replay(recorded, load, open_order).match


def test_the_model_and_policy_of_the_record_are_loaded(record: Record) -> None:
    asked: list[tuple[str, str]] = []

    def load_named(model: ModelRef, policy: PolicyRef) -> LoadedModel:
        asked.append((model.bundle, policy.version))
        return loaded()

    assert replay(record, load_named).match
    assert asked == [(loaded().model_ref.bundle, "2026-01")]


def test_the_last_bit_of_a_margin_counts(record: Record) -> None:
    def edit(facts: dict[str, Json]) -> None:
        attributions = facts["attributions"]
        assert isinstance(attributions, dict)
        margin = attributions["margin"]
        assert isinstance(margin, float)
        attributions["margin"] = margin * (1 + 2**-52)

    result = replay(change(record, edit), load)
    assert [difference.path for difference in result.differences] == ["/attributions/margin"]
    assert not result.match
    assert [cause.factor for cause in result.causes] == [Factor.RECORD]


def test_differences_name_their_place(record: Record) -> None:
    def edit(facts: dict[str, Json]) -> None:
        reasons = facts["reasons"]
        assert isinstance(reasons, list)
        assert isinstance(reasons[0], dict)
        reasons[0]["text"] = {"zh": "别的", "en": "another"}
        values = reasons[0]["facts"]
        assert isinstance(values, dict)
        values["a/b~c"] = 1
        facts["outcome_set"] = ["accept", "review", "reject", "more"]
        facts["reasons"] = [*reasons, reasons[0]]

    paths = {difference.path for difference in replay(change(record, edit), load).differences}
    assert {"/reasons/0/text/zh", "/reasons/0/text/en", "/reasons/0/facts/a~1b~0c"} <= paths
    assert "/outcome_set/3" in paths
    assert any(path.startswith("/reasons/") and path.count("/") == 2 for path in paths)


def test_a_changed_order_is_seen_in_the_snapshot(record: Record) -> None:
    result = replay(record, load, lambda _record: order(customer=BAD, stock=5.0))
    assert [difference.path for difference in result.differences] == ["/features/stock"]
    assert [(one.recorded, one.replayed) for one in result.differences] == [(4.0, 5.0)]


def test_an_order_that_no_longer_opens_does_not_hinder_the_replay(record: Record) -> None:
    assert replay(record, load, lambda _record: None).match


def test_counterfactuals_are_found_again(record: Record) -> None:
    """With the order, what was shown as a way to another outcome is computed again."""
    assert orjson.loads(record.facts or b"")["counterfactuals"]

    def edit(facts: dict[str, Json]) -> None:
        facts["counterfactuals"] = []

    altered = change(record, edit)
    assert replay(altered, load).match
    paths = {difference.path for difference in replay(altered, load, open_order).differences}
    assert "/counterfactuals/0" in paths


def test_another_runtime_is_the_cause(record: Record) -> None:
    def edit(facts: dict[str, Json]) -> None:
        facts["outcome"] = "accept"
        runtime = facts["runtime"]
        assert isinstance(runtime, dict)
        runtime["lightgbm"] = "4.6.0"
        runtime["python"] = "3.11.0"

    cause = replay(logged(change(record, edit)), load).cause
    assert cause is not None
    assert cause.en.startswith("library: python: 3.11.0 was recorded, ")


def test_another_runtime_alone_is_no_difference(record: Record) -> None:
    def edit(facts: dict[str, Json]) -> None:
        runtime = facts["runtime"]
        assert isinstance(runtime, dict)
        runtime["numpy"] = "1.0"

    assert replay(change(record, edit), load).match


def test_a_record_without_facts_cannot_be_replayed(record: Record) -> None:
    with pytest.raises(RecordNotFoundError):
        replay(replace(record, facts=None), load)
    with pytest.raises(RecordMalformedError):
        replay(replace(record, facts=b"{}"), load)
