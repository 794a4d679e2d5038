"""The entry that records a decision made with a node; beside `audit.records`' own."""

import os
from collections.abc import Callable

from audit.errors import RecordVoidError
from audit.outside_facts import build_outside_facts
from audit.records import (
    NONCE_SIZE_BYTES,
    Entry,
    Idempotency,
    Identity,
    build_personal,
    decision_entry,
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
    if not decision.snapshot.features:
        raise RecordVoidError("the decision has no snapshot")
    return decision_entry(
        decision,
        identity,
        confidence=decision.verdict.confidence,
        facts=build_outside_facts(decision, identity.caller, random_bytes(NONCE_SIZE_BYTES)),
        personal=build_personal(
            decision.unknown_fields, identity, order, idempotency, decision.personal
        ),
        idempotency=idempotency,
    )
