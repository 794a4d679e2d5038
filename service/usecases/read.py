"""Reading one decision, with what was said of it later."""

from hashlib import sha256

from audit.canonical import parse_json
from audit.errors import AuditError
from audit.receipt import verify_receipt
from audit.records import EntryType
from audit.store import Record
from models.domain import Json, Language
from service.answers import JsonObject, StoredDecision, build_answer
from service.auth import Action, Principal
from service.usecases.records import (
    find_kept_decision,
    is_erased,
    read_header,
    read_object,
    read_stored,
)
from service.wiring import Platform


def read_decision(
    platform: Platform, principal: Principal, decision_id: str, language: Language
) -> JsonObject:
    """Return a decision as answered, plus its overrides, what really happened and its proof.

    Raises
    ------
    DecisionNotFoundError
        When no decision has this id.
    RecordPurgedError
        When its retention has ended.
    """
    record = find_kept_decision(platform, decision_id)
    sees_identifiers = principal.may(Action.READ_IDENTIFIERS)
    stored = read_stored(platform, record, with_personal=sees_identifiers)
    answer = build_answer(stored, language)
    with platform.store.reading() as reading:
        later = reading.records_about(decision_id)
    overrides = list_amendments(platform, later, EntryType.OVERRIDE, opened=sees_identifiers)
    outcomes = list_amendments(platform, later, EntryType.OUTCOME, opened=sees_identifiers)
    latest = read_object(overrides[-1]) if overrides else answer
    return {
        **answer,
        "erased": is_erased(platform, record),
        "outcome_in_force": latest["outcome"],
        "overrides": overrides,
        "observed_outcome": outcomes[-1] if outcomes else None,
        "proof_status": check_proof(platform, stored),
    }


def list_amendments(
    platform: Platform, later: list[Record], entry_type: EntryType, *, opened: bool
) -> list[Json]:
    """Return what entries of a type say of a decision, oldest first.

    Parameters
    ----------
    later
        Entries about the decision.
    opened
        Whether to add their sealed part (comment, details).
    """
    return [
        describe_amendment(platform, record, opened=opened)
        for record in later
        if read_header(record.leaf).get("type") == entry_type
    ]


def describe_amendment(platform: Platform, record: Record, *, opened: bool) -> JsonObject:
    """Return what an override or an outcome entry says."""
    header = read_header(record.leaf)
    facts = read_object(parse_json(record.facts or b"null"))
    hidden = {"version", "nonce"}
    said = {name: value for name, value in facts.items() if name not in hidden}
    sealed: JsonObject = {}
    if opened and record.sealed is not None and not is_erased(platform, record):
        sealed = read_object(parse_json(platform.sealer.open(record.entry_id, record.sealed)))
    return {
        "entry_id": record.entry_id,
        "decision_id": header.get("about"),
        "recorded_at": header.get("recorded_at"),
        "leaf_index": record.leaf_index,
        **said,
        **sealed,
    }


def check_proof(platform: Platform, stored: StoredDecision) -> JsonObject:
    """Return whether receipt and facts hold for the stored header, and why not."""
    try:
        checkpoint = verify_receipt(stored.receipt, stored.leaf, platform.signer.verifier_key)
    except AuditError as error:
        return {"status": "broken", "detail": error.detail, "checkpoint_tree_size": None}
    size = checkpoint.tree_size
    if sha256(stored.facts).hexdigest() != read_header(stored.leaf).get("facts_sha256"):
        detail = "the facts are not those that the header names"
        return {"status": "broken", "detail": detail, "checkpoint_tree_size": size}
    return {"status": "verified", "detail": None, "checkpoint_tree_size": size}
