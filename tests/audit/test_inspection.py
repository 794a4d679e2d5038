"""The checks of one entry find what a writer with every right could have done wrong."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
import pytest

from audit.canonical import canonical_json, facts_json
from audit.errors import RecordMalformedError
from audit.inspection import inspect_entry, read_header
from audit.months import part_month
from audit.records import Entry, build_header, derive_lookup
from audit.scan import RawEntry
from models.domain import Json
from tests.audit.sample import OWNER, SEALER, make_decision_entry, make_override_entry, seal_entry

ENTRY = make_decision_entry(1, key="k")


def make_raw(
    header_changes: dict[str, Json] | None = None,
    facts_changes: dict[str, Json] | None = None,
    entry: Entry = ENTRY,
) -> RawEntry:
    """Return a decision whose hashes all fit, with some values other than they should be."""
    facts = facts_json({**(ENTRY.facts or {}), **(facts_changes or {})})
    sealed = seal_entry(entry)
    header = build_header(ENTRY, sha256(facts).hexdigest(), sealed) | (header_changes or {})
    hashes = ENTRY.identifiers.hashes(SEALER)
    try:
        lookup = derive_lookup(header, orjson.loads(facts), hashes)
    except RecordMalformedError:
        lookup = derive_lookup({}, None, hashes)
    return RawEntry(
        leaf_index=0,
        entry_id="d-1",
        leaf=canonical_json(header),
        leaf_hash=b"",
        tree_size=1,
        has_facts=True,
        facts=facts,
        has_personal=True,
        sealed=sealed.content,
        has_lookup=True,
        lookup=(
            "d-1",
            lookup.entry_type,
            lookup.kind,
            lookup.outcome,
            None if lookup.automated is None else int(lookup.automated),
            lookup.recorded_at,
            lookup.order_hash,
            lookup.subject_hash,
            lookup.about,
            lookup.chain_id,
        ),
        months=(part_month(str(header.get("type")), str(header.get("recorded_at"))),) * 3,
    )


def codes(entry: RawEntry) -> list[str]:
    return [finding.code for finding in inspect_entry(entry, SEALER)]


def test_a_good_decision_has_no_findings() -> None:
    assert codes(make_raw()) == []


VOID: dict[str, tuple[dict[str, Json], dict[str, Json]]] = {
    "no model": ({"model": None}, {}),
    "no version": ({"model": {"bundle": "b"}}, {}),
    "empty version": ({"model": {"bundle": "b", "version": ""}}, {}),
    "no bundle": ({"model": {"version": "3"}}, {}),
    "no confidence": ({"confidence": None}, {}),
    "confidence is true": ({"confidence": True}, {}),
    "confidence is a text": ({"confidence": "0.7"}, {}),
    "no features": ({}, {"features": None}),
    "empty features": ({}, {"features": {}}),
    "features are a list": ({}, {"features": [1]}),
}


@pytest.mark.parametrize("desc", VOID)
def test_a_void_decision_is_called_void(desc: str) -> None:
    """A decision without snapshot, model version, bundle or confidence is void."""
    assert codes(make_raw(*VOID[desc])) == ["void"]


ATTRIBUTIONS: dict[str, Json] = {
    "missing": None,
    "no values": {"base_value": 0.0, "margin": 0.0},
    "another margin": {"base_value": 0.1, "margin": 0.4, "values": {"a": 0.2}},
    "off by more than 1e-9": {"base_value": 0.0, "margin": 1.0 + 2e-9, "values": {"a": 1.0}},
    "margin is a text": {"base_value": 0.1, "margin": "0.3", "values": {"a": 0.2}},
    "base value is null": {"base_value": None, "margin": 0.2, "values": {"a": 0.2}},
    "a value is a list": {"base_value": 0.0, "margin": 0.0, "values": {"a": []}},
}


@pytest.mark.parametrize("desc", ATTRIBUTIONS)
def test_attributions_that_do_not_add_up_are_found(desc: str) -> None:
    """Base value plus attributions equal the margin to 1e-9, or verification says so."""
    assert codes(make_raw({}, {"attributions": ATTRIBUTIONS[desc]})) == ["not-additive"]


def test_attributions_may_miss_by_rounding() -> None:
    close: Json = {"base_value": 0.1, "margin": 0.3, "values": {"a": 0.2}}
    assert codes(make_raw({}, {"attributions": close})) == []


@pytest.mark.parametrize("changes", [{"type": 3}, {"kind": []}, {"chain_id": {}}])
def test_a_header_with_values_of_another_type_is_malformed(changes: dict[str, Json]) -> None:
    assert "header-malformed" in codes(make_raw(changes))


@pytest.mark.parametrize("leaf", [None, 3, "text", b"", b"[]", b"\xff", b"null"])
def test_a_leaf_that_is_no_object_is_malformed(leaf: Any) -> None:  # noqa: ANN401 - tampered values have any type
    assert codes(replace(make_raw(), leaf=leaf)) == ["header-malformed"]


@pytest.mark.parametrize("facts", [b"{", b"[]", 3, "text", None])
def test_unreadable_facts_are_named_by_their_hash(facts: Any) -> None:  # noqa: ANN401 - tampered values have any type
    found = codes(replace(make_raw(), facts=facts))
    assert "facts-hash" in found
    assert "void" in found


def test_missing_rows_are_named() -> None:
    assert "facts-missing" in codes(replace(make_raw(), has_facts=False, facts=None))
    assert "personal-missing" in codes(replace(make_raw(), has_personal=False, sealed=None))
    assert codes(replace(make_raw(), has_lookup=False)) == ["lookup-missing"]
    assert "entry-id" in codes(replace(make_raw(), entry_id="d-2"))


def test_sealed_identifiers_are_compared_with_the_look_ups() -> None:
    other = replace(make_decision_entry(2, key="other"), entry_id="d-1")
    assert codes(make_raw(entry=other)) == ["lookup"] * 2


def test_the_header_commits_to_what_is_sealed() -> None:
    """Other sealed contents under the same header are found, even when their hash fits."""
    part = seal_entry(ENTRY, b"another order")
    digest: dict[str, Json] = {"personal_sha256": part.digest}
    assert codes(replace(make_raw(digest), sealed=part.content)) == ["commitment"]


@pytest.mark.parametrize(
    "identifiers",
    [
        *[b"[]", b"{", b'{"order_id": 3}', b'{"subject_id": []}', b'{"idempotency": 3}'],
        b'{"idempotency": {"caller": "a", "route": "b", "key": "c", "body_sha256": "zz"}}',
    ],
)
def test_sealed_identifiers_of_another_form_are_named(identifiers: bytes) -> None:
    part = SEALER.seal("d-1", OWNER, b"", identifiers)
    digest: dict[str, Json] = {"personal_sha256": part.digest}
    assert codes(replace(make_raw(digest), sealed=part.content)) == ["record-malformed"]


def test_other_entries_need_neither_snapshot_nor_model() -> None:
    entry = make_override_entry(0, "d-0")
    header = build_header(entry, None, None)
    assert read_header(canonical_json(header))["about"] == "d-0"
