"""The entry that records a split decision; beside `audit.records.build_decision_entry`."""

import os
from collections.abc import Callable

from audit.errors import RecordVoidError
from audit.records import (
    NONCE_SIZE_BYTES,
    Entry,
    Idempotency,
    Identity,
    build_personal,
    decision_entry,
)
from audit.split_facts import build_split_facts
from models.split.decide import SplitDecision


def build_split_entry(
    decision: SplitDecision,
    currency: str,
    identity: Identity,
    order: bytes,
    idempotency: Idempotency | None,
    *,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> Entry:
    """Return the entry that records a split decision.

    Parameters
    ----------
    decision
        What was decided.
    currency
        Of every amount, ISO 4217; the policy's.
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
        If the problem has no line, or model version, bundle or confidence is missing.
    RecordMalformedError
        If the order is not UTF-8.
    """
    if not decision.problem.lines:
        raise RecordVoidError("the split has no order line")
    return decision_entry(
        decision,
        identity,
        confidence=decision.verdict.confidence,
        facts=build_split_facts(
            decision, currency, identity.caller, random_bytes(NONCE_SIZE_BYTES)
        ),
        personal=build_personal(decision.unknown_fields, identity, order, idempotency),
        idempotency=idempotency,
    )
