"""Entries: what is in a header, what is sealed, and what is nowhere in the clear."""

from datetime import datetime, timedelta, timezone
from hashlib import sha256

import orjson
import pytest

from audit.canonical import canonical_json, facts_json
from audit.errors import RecordMalformedError, RecordVoidError
from audit.identifiers import Hashes
from audit.records import (
    Entry,
    EntryType,
    Idempotency,
    Identity,
    build_decision_entry,
    build_header,
    derive_lookup,
    format_time,
    hash_idempotency_key,
    parse_decision,
    parse_personal,
    parse_time,
)
from audit.seal import SealedPart
from models.decision import Decision
from models.domain import Json, ModelRef, Snapshot
from tests.audit.sample import (
    SEALER,
    START,
    make_decision,
    make_decision_entry,
    make_order,
    make_verdict,
)

IDENTITY = Identity("d-1", START, "o-1", "s-1", "c-1", None, "oms")


def header_of(entry: Entry) -> dict[str, Json]:
    return build_header(entry, "aa", SealedPart(b"sealed", "cc"))


def test_the_header_of_a_decision_names_what_decided() -> None:
    header = header_of(make_decision_entry(1, key="k"))
    assert header["type"] == "decision"
    assert header["id"] == "d-1"
    assert header["recorded_at"] == "2026-01-15T08:30:01.000000Z"
    assert header["model"] == {"name": "admission", "version": "3", "bundle": "sha256:ab"}
    assert header["policy"] == "sha256:cd"
    assert (header["confidence"], header["kind"], header["parent_id"]) == (0.7, "admission", "d-0")
    assert (header["facts_sha256"], header["personal_commitment"]) == ("aa", "cc")
    assert header["personal_sha256"] == sha256(b"sealed").hexdigest()


def test_identifiers_are_in_the_sealed_part_only() -> None:
    """Neither header nor facts hold an identifier or a hash that can be guessed."""
    order = b'{"order_id": "order-4711", "buyer": "buyer-0815"}'
    used = Idempotency("oms", "/v1/decisions", "key-2342", b"\x01" * 32)
    identity = Identity("d-1", START, "order-4711", "subject-99", "c-1", None, "oms")
    entry = build_decision_entry(make_decision(), identity, order, used)
    assert entry.facts is not None
    assert entry.personal is not None
    header = header_of(entry)
    hashes = entry.identifiers.hashes(SEALER)
    assert not {one.hex() for one in (hashes.order, hashes.subject, hashes.key) if one} & {
        str(value) for value in header.values()
    }
    clear = canonical_json(header) + facts_json(entry.facts)
    for secret in (b"4711", b"0815", b"2342", b"subject-99", b"gift_note", b"01" * 32):
        assert secret not in clear
    for secret in (b"4711", b"0815", b"2342", b"subject-99", b"gift_note"):
        assert secret in entry.personal


def test_the_order_comes_back_verbatim() -> None:
    order = b' {"order_id" : "o-1",\n"presale_lead_days": 4.50, "note": "\\u4e2d"}\n'
    entry = build_decision_entry(make_decision(), IDENTITY, order, None)
    assert entry.personal is not None
    personal = parse_personal(entry.personal)
    assert personal.order == order
    assert (personal.order_id, personal.subject_id) == ("o-1", "s-1")
    assert personal.unknown_fields == ("/gift_note",)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b'{"order_id": "a"}',
        b'{"order_id": 1, "order": "x", "unknown_fields": []}',
        b'{"order_id": "a", "order": "x", "unknown_fields": 3}',
        b'{"order_id": "a", "order": "x", "unknown_fields": [], "subject_id": 3}',
    ],
)
def test_what_is_no_personal_part_is_refused(body: bytes) -> None:
    with pytest.raises(RecordMalformedError):
        parse_personal(body)


@pytest.mark.parametrize(
    "decision",
    [
        make_decision(snapshot=Snapshot({}, {})),
        make_decision(model=ModelRef("admission", "", "sha256:ab", "r")),
        make_decision(model=ModelRef("admission", "3", "", "r")),
        make_decision(verdict=make_verdict(confidence=float("nan"))),
    ],
)
def test_a_void_decision_is_not_recorded(decision: Decision) -> None:
    with pytest.raises(RecordVoidError):
        build_decision_entry(decision, IDENTITY, b"{}", None)


def test_an_order_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(RecordMalformedError):
        build_decision_entry(make_decision(), IDENTITY, b"\xff", None)


def test_the_nonce_comes_from_the_given_source() -> None:
    def source(size: int) -> bytes:
        return b"\x05" * size

    entries = [build_decision_entry(make_decision(), IDENTITY, b"{}", None, source) for _ in "ab"]
    assert entries[0] == entries[1]


def test_facts_of_an_entry_are_read_back() -> None:
    entry = make_decision_entry(1)
    assert entry.facts is not None
    assert parse_decision(facts_json(entry.facts)).verdict == make_verdict()


def test_extra_header_fields_never_replace_the_fixed_ones() -> None:
    entry = Entry("p-1", EntryType.PUBLICATION, START, {"type": "decision", "id": "x", "note": 1})
    header = header_of(entry)
    assert (header["type"], header["id"], header["note"]) == ("publication", "p-1", 1)
    assert "about" not in header


def test_the_lookup_follows_from_header_and_facts() -> None:
    entry = make_decision_entry(1)
    lookup = derive_lookup(header_of(entry), entry.facts, entry.identifiers.hashes(SEALER))
    assert (lookup.kind, lookup.outcome, lookup.automated) == ("admission", "reject", True)
    assert lookup.order_hash == SEALER.keyed_hash("order", "o-1")
    assert lookup.subject_hash == SEALER.keyed_hash("subject", "s-1")
    bare = derive_lookup({"type": "export", "recorded_at": "x"}, None, Hashes())
    assert (bare.kind, bare.outcome, bare.automated, bare.order_hash) == (None, None, None, None)


@pytest.mark.parametrize(
    ("header", "facts"),
    [
        ({"type": 1}, {}),
        ({}, {"automated": "yes"}),
        ({}, {"outcome": 1}),
    ],
)
def test_values_of_another_type_have_no_lookup(
    header: dict[str, Json], facts: dict[str, Json]
) -> None:
    with pytest.raises(RecordMalformedError):
        derive_lookup(header, facts, Hashes())


def test_times_are_utc_and_sort_as_text() -> None:
    beijing = timezone(timedelta(hours=8))
    assert format_time(datetime(2026, 1, 15, 16, 30, tzinfo=beijing)) == format_time(START)
    later = START + timedelta(microseconds=1)
    assert format_time(START) < format_time(later)
    assert parse_time(format_time(later)) == later
    with pytest.raises(RecordMalformedError):
        format_time(START.replace(tzinfo=None))


def test_an_idempotency_key_is_hashed_in_its_scope() -> None:
    scopes = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", "d")]
    hashes = {hash_idempotency_key(*scope, SEALER) for scope in scopes}
    assert len(hashes) == 4


def test_the_sample_order_is_json() -> None:
    assert orjson.loads(make_order(3))["order_id"] == "o-3"
