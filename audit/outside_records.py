"""The entry that records a decision made with a node; beside `audit.records`' own."""

import os
from collections.abc import Callable

from audit.errors import RecordVoidError
from audit.outside_facts import build_outside_facts
from audit.records import (
    NONCE_SIZE_BYTES,
    Entry,
    EntryType,
    Idempotency,
    Identity,
    build_personal,
)
from models.outside_verdict import OutsideDecision


def build_outside_entry(
    decision: OutsideDecision,
    identity: Identity,
    order: bytes,
    idempotency: Idempotency | None,
    *,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> Entry:
    """Return the entry that records a decision made with an outside node.

    Parameters
    ----------
    decision
        What was decided.
    identity
        Which decision it is.
    order
        The request body as received; UTF-8.
    idempotency
        The caller's key, if it gave one.
    random_bytes
        Source of the nonce in the facts part.

    Raises
    ------
    RecordVoidError
        If snapshot, model version or digest is missing.
    RecordMalformedError
        If the order is not UTF-8.
    """
    model = decision.model
    if not decision.snapshot.features or not model.version or not model.bundle:
        raise RecordVoidError("the decision has no snapshot, model version or bundle")
    return Entry(
        entry_id=identity.decision_id,
        entry_type=EntryType.DECISION,
        recorded_at=identity.decided_at,
        header={
            "kind": decision.kind,
            "chain_id": identity.chain_id,
            "parent_id": identity.parent_id,
            "model": {"name": model.name, "version": model.version, "bundle": model.bundle},
            "policy": decision.policy.digest,
            "confidence": decision.verdict.confidence,
        },
        facts=build_outside_facts(decision, identity.caller, random_bytes(NONCE_SIZE_BYTES)),
        personal=build_personal(
            decision.unknown_fields, identity, order, idempotency, decision.personal
        ),
        order_id=identity.order_id,
        subject_id=identity.subject_id,
        idempotency=idempotency,
    )
