"""What is said of a decision later: a person's override, and what really happened.

Both are new entries about the decision; the decision itself never changes. Free text is sealed.
"""

from base64 import b64encode
from datetime import UTC, datetime

from audit.canonical import facts_json
from audit.log import Appended
from audit.records import Entry, EntryType, Idempotency, format_time
from audit.store import Record
from audit.versions import parse_versions
from models.domain import Json
from models.errors import FieldFault
from service.answers import JsonObject
from service.errors import RequestInvalidError
from service.usecases.correct import record_outcome
from service.usecases.read import describe_amendment
from service.usecases.records import (
    build_nonce,
    find_kept_decision,
    new_id,
    open_personal,
)
from service.wiring import Platform


def override_decision(
    platform: Platform,
    *,
    decision_id: str,
    actor: str,
    outcome: str,
    reason_code: str,
    comment: str,
    idempotency: Idempotency | None,
) -> JsonObject:
    """Record that a person decided otherwise, or confirmed.

    Parameters
    ----------
    decision_id
        Which decision.
    actor
        Id of the API key.
    outcome
        One of the kind's outcomes.
    reason_code, comment
        Why; the comment is sealed.
    idempotency
        The caller's key in its scope, or None.

    Raises
    ------
    DecisionNotFoundError
        When no decision has this id.
    RecordPurgedError
        When its retention has ended.
    ErasedError
        When the data subject was erased: nothing more is sealed about it.
    RequestInvalidError
        When the kind has no such outcome.
    IdempotencyConflictError, StoreUnavailableError, OverloadedError, DeadlineError
        When it was not recorded.
    """
    record = find_kept_decision(platform, decision_id)
    decided = parse_versions(record.facts or b"null")
    outcomes = platform.shelf.load_kind(decided.model, decided.policy).outcomes
    codes = [outcomes.favourable.code, outcomes.review.code, outcomes.adverse.code]
    if outcome not in codes:
        fault = FieldFault("/outcome", f"not one of {', '.join(codes)}")
        raise RequestInvalidError((fault,))
    said: dict[str, Json] = {"outcome": outcome, "reason_code": reason_code}
    sealed: dict[str, Json] = {"comment": comment}
    entry = _entry(
        platform,
        record,
        EntryType.OVERRIDE,
        actor=actor,
        said=said,
        sealed=sealed,
        idempotency=idempotency,
    )
    return _describe(platform, platform.writer.record_one(entry))


def report_outcome(
    platform: Platform,
    *,
    decision_id: str,
    actor: str,
    label: str,
    observed_at: datetime,
    details: Json,
    idempotency: Idempotency | None,
) -> JsonObject:
    """Record what really happened to an order, and correct the working error rates by it.

    Parameters
    ----------
    label
        What happened, in the caller's words. The kind's outcome codes, ``adverse`` and
        ``favourable`` name a true label; any other word corrects nothing.
    observed_at
        Aware time.
    details
        Anything; sealed.

    Raises
    ------
    DecisionNotFoundError
        When no decision has this id.
    RecordPurgedError
        When its retention has ended.
    ErasedError
        When the data subject was erased: nothing more is sealed about it.
    IdempotencyConflictError, StoreUnavailableError, OverloadedError, DeadlineError
        When it was not recorded.
    """
    record = find_kept_decision(platform, decision_id)
    said: dict[str, Json] = {
        "label": label,
        "observed_at": format_time(observed_at.astimezone(UTC)),
    }
    sealed: dict[str, Json] = {"details": details}
    entry = _entry(
        platform,
        record,
        EntryType.OUTCOME,
        actor=actor,
        said=said,
        sealed=sealed,
        idempotency=idempotency,
    )
    return _describe(platform, record_outcome(platform, record, label, entry))


def _entry(
    platform: Platform,
    decision: Record,
    entry_type: EntryType,
    *,
    actor: str,
    said: dict[str, Json],
    sealed: dict[str, Json],
    idempotency: Idempotency | None,
) -> Entry:
    personal = open_personal(platform, decision)
    kind = parse_versions(decision.facts or b"null").kind
    return Entry(
        entry_id=new_id(),
        entry_type=entry_type,
        recorded_at=platform.now(),
        header={"kind": kind},
        facts={**build_nonce(), "actor": actor, **said},
        personal=facts_json(sealed),
        order_id=personal.order_id,
        subject_id=personal.subject_id,
        about=decision.entry_id,
        idempotency=idempotency,
    )


def _describe(platform: Platform, appended: Appended) -> JsonObject:
    with platform.store.reading() as reading:
        record = reading.record_at(appended.leaf_index)
    return {
        **describe_amendment(platform, record, opened=True),
        "receipt": {
            "leaf_index": appended.leaf_index,
            "tree_size": appended.tree_size,
            "leaf": b64encode(appended.leaf).decode("ascii"),
            "proof": appended.receipt,
        },
    }
