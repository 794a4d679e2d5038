"""A decision's facts come back exactly."""

import struct
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.canonical import facts_json
from audit.errors import RecordMalformedError
from audit.facts import build_facts, parse_decision
from models.decision import Decision
from models.domain import (
    Attributions,
    CapStanding,
    Counterfactual,
    Disagreement,
    Effect,
    FieldChange,
    ModelRef,
    PolicyRef,
    Promised,
    Reason,
    RuleHit,
    Runtime,
    Side,
    Snapshot,
    Text,
    Verdict,
    Voice,
)
from models.surroundings import (
    CapCount,
    ErrorRates,
    ReferenceRef,
    StaleReference,
    Surroundings,
)
from tests.audit.sample import UNHURRIED, make_decision, make_verdict

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(max_size=8)
COUNTS = st.integers(0, 2**53)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FLOATS | NAMES
TEXTS = st.builds(Text, NAMES, NAMES)
FACTS = st.dictionaries(NAMES, SCALARS, max_size=3)
REASONS = st.builds(
    Reason,
    rank=st.integers(1, 9),
    code=NAMES,
    group=NAMES,
    side=st.sampled_from(Side),
    toward=NAMES,
    share=FLOATS,
    contribution=FLOATS,
    features=st.lists(NAMES, max_size=3).map(tuple),
    facts=FACTS,
    text=TEXTS,
)
REASON_LISTS = st.lists(REASONS, max_size=2).map(tuple)
VERDICTS = st.builds(
    Verdict,
    outcome=NAMES,
    automated=st.booleans(),
    raw_probability=FLOATS,
    probability=FLOATS,
    interval=st.tuples(FLOATS, FLOATS),
    confidence=FLOATS,
    outcome_set=st.lists(NAMES, max_size=3).map(tuple),
    attributions=st.builds(
        Attributions, FLOATS, FLOATS, st.just("logit"), st.dictionaries(NAMES, FLOATS, max_size=4)
    ),
    reasons=REASON_LISTS,
    counter_reasons=REASON_LISTS,
    rules=st.lists(
        st.builds(RuleHit, NAMES, NAMES, st.sampled_from(Effect), FACTS, TEXTS), max_size=2
    ).map(tuple),
    summary=TEXTS,
    thresholds=st.tuples(FLOATS, FLOATS),
    promise=st.none() | st.builds(Promised, FLOATS, FLOATS, FLOATS, FLOATS),
    conflict=st.none()
    | st.builds(
        Disagreement,
        st.lists(st.builds(Voice, NAMES, NAMES, NAMES), max_size=2).map(tuple),
        NAMES,
        st.sampled_from(["floor", "precedence", "promise", "strictest"]),
    ),
    caps=st.lists(
        st.builds(CapStanding, NAMES, NAMES, NAMES, st.none() | COUNTS, st.none() | COUNTS),
        max_size=2,
    ).map(tuple),
)
MOMENTS = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - the zone is drawn beside it
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - the zone is drawn beside it
    timezones=st.builds(timezone, st.builds(timedelta, minutes=st.integers(-12 * 60, 14 * 60))),
)
TABLES = st.builds(ReferenceRef, NAMES, NAMES, MOMENTS)
SURROUNDINGS = st.builds(
    Surroundings,
    placed_at=st.none() | MOMENTS,
    counts=st.lists(st.builds(CapCount, NAMES, NAMES, NAMES, COUNTS), max_size=2).map(tuple),
    stale=st.lists(st.builds(StaleReference, TABLES, TEXTS, FLOATS, FLOATS), max_size=2).map(tuple),
    references=st.lists(TABLES, max_size=2).map(tuple),
    error_rates=st.none() | st.builds(ErrorRates, FLOATS, FLOATS),
)
DECISIONS = st.builds(
    Decision,
    kind=NAMES,
    snapshot=st.builds(
        Snapshot, st.dictionaries(NAMES, FLOATS | NAMES | st.none(), max_size=5), FACTS
    ),
    verdict=VERDICTS,
    model=st.builds(ModelRef, NAMES, NAMES, NAMES, NAMES),
    policy=st.builds(PolicyRef, NAMES, NAMES, NAMES),
    runtime=st.builds(Runtime, *[NAMES] * 9),
    surroundings=SURROUNDINGS,
    personal=st.just({}),
    unknown_fields=st.just(()),
    timings_ms=st.dictionaries(NAMES, FLOATS, max_size=3),
    counterfactuals=st.lists(
        st.builds(
            Counterfactual,
            st.dictionaries(NAMES, st.builds(FieldChange, NAMES, FLOATS, FLOATS), max_size=2),
            NAMES,
            TEXTS,
        ),
        max_size=2,
    ).map(tuple),
)


def bits(value: Any) -> Any:  # noqa: ANN401 - any part of a decision
    """Return a value in which floats are their bits, so that equal means identical."""
    if isinstance(value, float):
        return struct.pack(">d", value + 0.0)
    if isinstance(value, datetime):
        # Two moments are equal in whatever offset; the record keeps the order's own.
        return value.isoformat()
    if isinstance(value, dict):
        return [(key, bits(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return [bits(getattr(value, name)) for name in value.__dataclass_fields__]
    return (type(value), value)


@settings(max_examples=150, **UNHURRIED)
@given(DECISIONS)
def test_facts_come_back_exactly(decision: Decision) -> None:
    """Reading a facts part gives the decision bit for bit, names in their order."""
    recorded = parse_decision(facts_json(build_facts(decision, "oms", b"\x05" * 32)))
    for name in (
        "kind",
        "snapshot",
        "surroundings",
        "verdict",
        "model",
        "policy",
        "runtime",
        "timings_ms",
        "counterfactuals",
    ):
        assert bits(getattr(recorded, name)) == bits(getattr(decision, name)), name
    assert recorded.caller == "oms"


def test_minus_zero_is_recorded_as_zero() -> None:
    verdict = make_verdict(raw_probability=-0.0)
    recorded = parse_decision(facts_json(build_facts(make_decision(verdict=verdict), "", b"")))
    assert struct.pack(">d", recorded.verdict.raw_probability) == bytes(8)


def test_the_nonce_is_in_the_facts() -> None:
    first = build_facts(make_decision(), "oms", b"\x00" * 32)
    second = build_facts(make_decision(), "oms", b"\x01" * 32)
    assert first.pop("nonce") != second.pop("nonce")
    assert first == second


FACTS_BODY = orjson.loads(facts_json(build_facts(make_decision(), "oms", b"")))


@pytest.mark.parametrize("name", sorted(set(FACTS_BODY) - {"nonce"}))
def test_facts_that_lack_a_part_are_refused(name: str) -> None:
    body = {key: value for key, value in FACTS_BODY.items() if key != name}
    with pytest.raises(RecordMalformedError):
        parse_decision(orjson.dumps(body))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"version": 2}'])
def test_what_is_no_facts_part_is_refused(body: bytes) -> None:
    with pytest.raises(RecordMalformedError):
        parse_decision(body)
