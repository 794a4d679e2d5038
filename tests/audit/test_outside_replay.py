"""A decision made with a node becomes facts and comes back; its replay asks nobody."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
import pytest

from audit.canonical import canonical_json, facts_json
from audit.causes import Factor
from audit.errors import RecordMalformedError, RecordNotFoundError, RecordVoidError
from audit.inspection import inspect_entry
from audit.log import append
from audit.outside_facts import build_outside_facts, outside_verdict_json, parse_outside
from audit.outside_records import build_outside_entry
from audit.outside_replay import replay_outside
from audit.records import Entry, Identity, build_header, derive_lookup
from audit.scan import RawEntry
from audit.store import Record
from models.domain import Json, ModelRef, PolicyRef, Snapshot
from models.outside import OutsideModel
from models.outside_verdict import OutsideDecision
from tests.audit.sample import SEALER, SIGNER, START, seal_entry
from tests.databases import SampleDatabase
from tests.outside import ANSWER, decided, outside_order, ready_model

pytestmark = pytest.mark.both_databases

Facts = dict[str, Any]
IDENTITY = Identity("d-1", START, "F-1", "C-77", "c-1", None, "oms")


def entry_of(decision: OutsideDecision, country: str = "DE") -> Entry:
    return build_outside_entry(decision, IDENTITY, outside_order(country), None)


def record_of(database: SampleDatabase, decision: OutsideDecision) -> Record:
    store = database.open()
    append(store, [entry_of(decision)], SIGNER, SEALER)
    with store.reading() as reading:
        record = reading.record("d-1")
    store.close()
    return record


def load(_model: ModelRef, _policy: PolicyRef) -> OutsideModel:
    return ready_model()


def change(record: Record, edit: Callable[[Facts], None]) -> Record:
    facts = orjson.loads(record.facts or b"")
    edit(facts)
    return replace(record, facts=orjson.dumps(facts))


CASES = [(ANSWER, "DE"), ("<html>", "DE"), (None, "DE"), (ANSWER, "CN")]


@pytest.mark.parametrize(("body", "country"), CASES)
def test_facts_come_back_as_they_were(body: str | None, country: str) -> None:
    """Answered, refused, silent or not asked: every value comes back bit for bit."""
    decision = decided(body, country)
    stored = facts_json(build_outside_facts(decision, "oms", b"\x00" * 32))
    again = parse_outside(stored)
    for name in ("kind", "snapshot", "surroundings", "call", "verdict", "model", "policy"):
        assert getattr(again, name) == getattr(decision, name)
    assert (again.runtime, again.timings_ms) == (decision.runtime, {"node": 12.5})
    assert outside_verdict_json(again.verdict) == outside_verdict_json(decision.verdict)
    assert again.caller == "oms"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda facts: facts.update(form="model"), "not a node's facts"),
        (lambda facts: facts.update(version=1), "not a node's facts"),
        (lambda facts: facts.pop("call"), "lacks call"),
        (lambda facts: facts.update(call=7), "holds no node's answer: call"),
    ],
)
def test_other_facts_are_refused(edit: Callable[[Facts], object], message: str) -> None:
    facts: Facts = orjson.loads(facts_json(build_outside_facts(decided(), "oms", b"")))
    edit(facts)
    with pytest.raises(RecordMalformedError, match=message):
        parse_outside(orjson.dumps(facts))


def test_nothing_that_identifies_stands_in_header_or_facts() -> None:
    entry = entry_of(decided())
    told = orjson.dumps([entry.header, entry.facts]).decode()
    assert not [secret for secret in ("F-1", "C-77") if secret in told]
    assert b"C-77" in (entry.personal or b"")


@pytest.mark.parametrize("part", ["snapshot", "version", "bundle"])
def test_a_void_decision_is_not_recorded(part: str) -> None:
    decision = decided()
    void = {
        "snapshot": replace(decision, snapshot=Snapshot({}, {})),
        "version": replace(decision, model=replace(decision.model, version="")),
        "bundle": replace(decision, model=replace(decision.model, bundle="")),
    }[part]
    with pytest.raises(RecordVoidError):
        entry_of(void)


@pytest.mark.parametrize(("body", "country"), CASES)
def test_a_replay_is_identical(database: SampleDatabase, body: str | None, country: str) -> None:
    """The recorded answer is read again, and everything after it is the same."""
    record = record_of(database, decided(body, country))
    result = replay_outside(record, load, lambda _record: outside_order(country))
    assert (result.match, result.differences, result.cause) == (True, (), None)
    assert result.recorded == result.replayed
    assert result.note is not None
    assert replay_outside(record, load).match
    assert replay_outside(record, load, lambda _record: None).match


def _answer(old: str, new: str) -> Callable[[Facts], None]:
    def edit(facts: Facts) -> None:
        assert old in facts["call"]["body"]
        facts["call"]["body"] = facts["call"]["body"].replace(old, new)

    return edit


@pytest.mark.parametrize(
    ("edit", "paths"),
    [
        (lambda facts: facts.update(outcome="accept"), ["/outcome"]),
        (
            lambda facts: facts["attributions"]["values"].update(material=0.5000000000000001),
            ["/attributions/values/material"],
        ),
        (lambda facts: facts["call"].update(request_sha256="00"), ["/call/request_sha256"]),
        (_answer('"id":null', '"id": null'), ["/call/body_sha256"]),
        (
            lambda facts: facts["features"].update(material="steel"),
            ["/call/request_sha256", "/features/material"],
        ),
    ],
)
def test_what_was_changed_is_named(
    database: SampleDatabase, edit: Callable[[Facts], None], paths: list[str]
) -> None:
    """Verdict, recorded answer, request and snapshot are each held to the others."""
    record = change(record_of(database, decided()), edit)
    result = replay_outside(record, load, lambda _record: outside_order())
    assert [one.path for one in result.differences] == paths
    assert [cause.factor for cause in result.causes] == [Factor.RECORD]


def test_another_answer_leads_to_another_verdict(database: SampleDatabase) -> None:
    record = change(record_of(database, decided()), _answer("[-2.0]", "[-2.5]"))
    result = replay_outside(record, load)
    assert result.replayed["failure"] == {
        "code": "not-linked",
        "detail": "the probability is not the link of the margin",
    }
    assert "/outcome" in {one.path for one in result.differences}


def test_a_record_without_facts_cannot_be_replayed(database: SampleDatabase) -> None:
    record = record_of(database, decided())
    with pytest.raises(RecordNotFoundError):
        replay_outside(replace(record, facts=None), load)
    with pytest.raises(RecordMalformedError):
        replay_outside(replace(record, facts=b"{}"), load)


def found(
    edit: Callable[[Facts], object], confidence: float | None = None, body: str | None = ANSWER
) -> list[str]:
    """Return what is found in a decision with some facts as they must not be; all hashes fit."""
    entry = entry_of(decided(body))
    facts: Facts = orjson.loads(facts_json(dict(entry.facts or {})))
    edit(facts)
    stored, sealed = facts_json(facts), seal_entry(entry)
    header: dict[str, Json] = build_header(entry, sha256(stored).hexdigest(), sealed)
    if confidence is not None:
        header["confidence"] = confidence
    due = derive_lookup(header, facts, entry.identifiers.hashes(SEALER))
    raw = RawEntry(
        leaf_index=0,
        entry_id="d-1",
        leaf=canonical_json(header),
        leaf_hash=b"",
        tree_size=1,
        has_facts=True,
        facts=stored,
        has_personal=True,
        sealed=sealed.content,
        has_lookup=True,
        lookup=(
            *("d-1", due.entry_type, due.kind, due.outcome, int(bool(due.automated))),
            *(due.recorded_at, due.order_hash, due.subject_hash, due.about, due.chain_id),
        ),
        months=(due.recorded_at[:7],) * 3,
    )
    return [finding.code for finding in inspect_entry(raw, SEALER)]


@pytest.mark.parametrize(
    ("edit", "codes"),
    [
        (lambda _: None, []),
        (lambda facts: facts.update(features={}), ["void"]),
        (lambda facts: facts["attributions"].update(margin=0.900001), ["not-additive"]),
        (lambda facts: facts.update(attributions=None), []),
        (lambda facts: facts.update(probability=None), ["conclusion"]),
        (lambda facts: facts.update(failure={"code": "x", "detail": ""}), ["conclusion"]),
        (lambda facts: facts.update(confidence=0.1), ["conclusion"]),
    ],
)
def test_a_wrong_decision_is_named(edit: Callable[[Facts], object], codes: list[str]) -> None:
    assert found(edit) == codes


def test_a_failed_call_is_whole_and_the_headers_confidence_is_the_verdicts() -> None:
    assert found(lambda _: None, body="<html>") == []
    assert found(lambda _: None, confidence=0.5) == ["conclusion"]
