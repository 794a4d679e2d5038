"""A split's entry is recorded as any decision's is, and never a void one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pysqlite3
import pytest

from audit.errors import RecordMalformedError, RecordVoidError
from audit.log import append
from audit.records import Entry, Hashes, Identity, derive_lookup, parse_personal
from audit.split_records import build_split_entry
from audit.verify import verify_store
from models.domain import Json
from models.split.decide import SplitDecision
from tests.audit.sample import SEALER, SIGNER, START, VKEY, make_decision_entry, open_sample_store
from tests.databases import SampleDatabase
from tests.models.split.examples import example_order
from tests.splits import EXAMPLES, decided

pytestmark = pytest.mark.both_databases

WHO = Identity("d-1", START, "TM-1", "C-1", "c-1", "d-0", "oms")


def entry(decision: SplitDecision, body: bytes = b"{}", number: int = 1) -> Entry:
    return build_split_entry(decision, "CNY", replace(WHO, decision_id=f"d-{number}"), body, None)


@pytest.mark.parametrize("name", EXAMPLES)
def test_header_lookup_and_seal_follow_from_the_decision(
    database: SampleDatabase, name: str
) -> None:
    decision, body = decided(name), example_order(name)
    store = database.open()
    append(store, [entry(decision, body)], SIGNER, SEALER)
    with store.reading() as reading:
        record = reading.record("d-1")
    header = orjson.loads(record.leaf)
    assert header["model"]["bundle"] == decision.model.bundle
    assert header["policy"] == decision.policy.digest
    assert header["confidence"] == decision.verdict.confidence
    assert (header["chain_id"], header["parent_id"]) == ("c-1", "d-0")
    lookup = derive_lookup(header, orjson.loads(record.facts or b""), Hashes())
    assert (lookup.kind, lookup.outcome) == ("split", decision.verdict.outcome)
    assert lookup.automated is decision.verdict.automated
    personal = parse_personal(SEALER.open("d-1", record.sealed or b""))
    assert (personal.order_id, personal.subject_id, personal.order) == ("TM-1", "C-1", body)
    assert verify_store(store, [VKEY], SEALER).problems == ()
    store.close()


def _without(decision: SplitDecision, **changes: Any) -> SplitDecision:  # noqa: ANN401 - any field
    return replace(decision, **changes)


@pytest.mark.parametrize(
    "decision",
    [
        _without(decided(), model=replace(decided().model, version="")),
        _without(decided(), model=replace(decided().model, bundle="")),
        _without(decided(), problem=replace(decided().problem, lines=())),
        _without(decided(), verdict=replace(decided().verdict, confidence=float("nan"))),
    ],
)
def test_a_void_split_is_refused(decision: SplitDecision) -> None:
    with pytest.raises(RecordVoidError):
        entry(decision)


def test_an_order_that_is_not_text_is_refused() -> None:
    with pytest.raises(RecordMalformedError):
        entry(decided(), b"\xff")


@pytest.mark.parametrize("problem", [None, {}, {"lines": []}, {"lines": "all"}])
def test_the_database_refuses_a_split_without_order_lines(
    database: SampleDatabase, problem: Json
) -> None:
    """The trigger asks a split for its problem, as it asks other decisions for features."""
    store = database.open()
    whole = entry(decided())
    void = replace(whole, facts={**(whole.facts or {}), "problem": problem})
    with pytest.raises(RecordVoidError):
        append(store, [void], SIGNER, SEALER)
    # Another form cannot call itself a split to be recorded without features.
    other = make_decision_entry(2)
    posing = replace(other, facts={**(other.facts or {}), "form": "split"})
    with pytest.raises(RecordVoidError):
        append(store, [posing], SIGNER, SEALER)
    store.close()


def test_a_store_made_before_there_were_splits_takes_them(tmp_path: Path) -> None:
    """Opening an older store replaces the trigger that knows features only."""
    open_sample_store(tmp_path).close()
    connection = pysqlite3.connect(tmp_path / "log.db", isolation_level=None)
    connection.execute("DROP TRIGGER log_entry_void_2")
    connection.execute(
        "CREATE TRIGGER log_entry_void BEFORE INSERT ON log_entry "
        "BEGIN SELECT RAISE(ABORT, 'void: no features'); END"
    )
    connection.close()
    store = open_sample_store(tmp_path)
    [appended] = append(store, [entry(decided("no-plan"))], SIGNER, SEALER)
    assert not isinstance(appended, Exception)
    assert appended.entry_id == "d-1"
    store.close()
