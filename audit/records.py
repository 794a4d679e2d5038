"""What an entry of the log is, before it has a place there.

An entry has a small header (the Merkle leaf), an optional facts part and an optional personal
part. The header commits to the stored bytes of both parts by their SHA-256, and holds nothing
personal and nothing that can be guessed: to identifiers it only commits, with a salt that is
sealed. Whatever a look-up column holds follows from header, facts and sealed identifiers, so that
it can be checked.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from audit.canonical import facts_json, parse_json
from audit.errors import RecordMalformedError, RecordVoidError
from audit.facts import RecordedDecision, build_facts, parse_decision
from audit.identifiers import Hashes, Idempotency, Identifiers, hash_idempotency_key
from audit.seal import SealedPart
from audit.times import format_time, parse_time
from audit.versions import Made
from models.decision import Decision
from models.domain import Json

__all__ = [
    "Counted",
    "CounterKey",
    "Entry",
    "EntryType",
    "Hashes",
    "Idempotency",
    "Identifiers",
    "Identity",
    "Lookup",
    "PersonalPart",
    "RecordedDecision",
    "build_decision_entry",
    "build_header",
    "build_personal",
    "decision_entry",
    "derive_lookup",
    "format_time",
    "hash_idempotency_key",
    "parse_decision",
    "parse_personal",
    "parse_time",
]

HEADER_VERSION: Final = 2
NONCE_SIZE_BYTES: Final = 32


class EntryType(StrEnum):
    """What an entry records."""

    LOG_CREATED = "log-created"
    DECISION = "decision"
    OVERRIDE = "override"
    OUTCOME = "outcome"
    PUBLICATION = "publication"
    REFERENCE = "reference"
    CORRECTION = "correction"
    KEY_CREATED = "key-created"
    KEY_REVOKED = "key-revoked"
    ERASURE = "erasure"
    HOLD = "hold"
    LOG_KEY_ROTATED = "log-key-rotated"
    LOG_RECOVERED = "log-recovered"
    EXPORT = "export"
    ARCHIVE = "archive"
    ACCESS = "access"
    PURGE = "purge"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which decision it is, about which order, for whom.

    Parameters
    ----------
    decision_id
        Unique in the log.
    decided_at
        Aware time.
    order_id, subject_id
        The caller's identifiers of order and customer; sealed, looked up by keyed hash.
    chain_id, parent_id
        The chain of decisions about one order, and the decision before this one.
    caller
        Name of the API key.
    """

    decision_id: str
    decided_at: datetime
    order_id: str
    subject_id: str | None
    chain_id: str
    parent_id: str | None
    caller: str


@dataclass(frozen=True, slots=True)
class CounterKey:
    """A counter kept beside the log: whose (a kind's name), which cap, which day and tier."""

    scope: str
    cap: str
    day: str
    tier: str


@dataclass(frozen=True, slots=True)
class Counted:
    """The counters that an entry was decided with.

    Parameters
    ----------
    counts
        As they stood when it was decided.
    taken
        Those to count up in the transaction of the entry.
    redo
        Decides again with the counts found in that transaction, when they are others.
    """

    counts: Mapping[CounterKey, int]
    taken: tuple[CounterKey, ...]
    redo: "Callable[[Mapping[CounterKey, int]], Entry]"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry to append.

    Parameters
    ----------
    entry_id
        Unique in the log.
    entry_type
        What it records.
    recorded_at
        Aware time.
    header
        Fields of the header beyond those that `build_header` adds; nothing personal.
    facts
        Facts part, or None.
    personal
        Plain bytes to seal, or None.
    order_id, subject_id
        Identifiers to look it up by; stored as keyed hashes.
    about
        Id of the entry that it concerns.
    idempotency
        Key under which a retry gets the same answer.
    rest
        Entries that stand right after it, in the same transaction; on a retry they are not
        written again either. They have no key, no counters and no rest of their own.
    counted
        The counters that it and its rest were decided with.
    clears
        Leaf indexes of entries whose keyed hashes leave the look-up tables in its transaction.
    removes
        Removes what a purge takes out of the store, in its transaction; it may raise instead.
    """

    entry_id: str
    entry_type: EntryType
    recorded_at: datetime
    header: dict[str, Json]
    facts: dict[str, Json] | None = None
    personal: bytes | None = None
    order_id: str | None = None
    subject_id: str | None = None
    about: str | None = None
    idempotency: Idempotency | None = None
    rest: "tuple[Entry, ...]" = ()
    counted: Counted | None = None
    clears: tuple[int, ...] = ()
    removes: Callable[[Connection], None] | None = None

    @property
    def identifiers(self) -> Identifiers:
        """Return what it is looked up by."""
        return Identifiers(self.order_id, self.subject_id, self.idempotency)

    def without_counters(self) -> "Entry":
        """Return the entry without counters, for the rest of another one."""
        facts = {name: value for name, value in (self.facts or {}).items() if name != "counted"}
        return replace(self, facts=facts, counted=None) if self.counted is not None else self

    def with_counters(self, counted: Counted) -> "Entry":
        """Return the entry with the counters that it was decided with.

        The facts name those that it uses up, so that the counters can be checked against the log.
        """
        uses: list[Json] = [[use.scope, use.cap, use.day, use.tier] for use in counted.taken]
        facts = None if self.facts is None else {**self.facts, "counted": uses}
        return replace(self, facts=facts, counted=counted)


@dataclass(frozen=True, slots=True)
class PersonalPart:
    """A decision's personal part, opened.

    Parameters
    ----------
    order_id, subject_id
        As the caller named them.
    unknown_fields
        JSON pointers of fields that the kind does not know.
    order
        The request body, verbatim.
    matches
        Look-up name to the listed parties that it matched, with names and scores.
    """

    order_id: str
    subject_id: str | None
    unknown_fields: tuple[str, ...]
    order: bytes
    matches: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What an entry can be searched by; follows from header, facts and sealed identifiers.

    Parameters
    ----------
    entry_type, kind, outcome, automated, recorded_at, about, chain_id
        As header or facts say; `recorded_at` is RFC 3339 text.
    order_hash, subject_hash
        Keyed hashes, 32 bytes.
    """

    entry_type: str
    kind: str | None
    outcome: str | None
    automated: bool | None
    recorded_at: str
    order_hash: bytes | None
    subject_hash: bytes | None
    about: str | None
    chain_id: str | None


def build_decision_entry(
    decision: Decision,
    identity: Identity,
    order: bytes,
    idempotency: Idempotency | None,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> Entry:
    """Return the entry that records a decision.

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
        If snapshot, model version, bundle or confidence is missing.
    RecordMalformedError
        If the order is not UTF-8.
    """
    if not decision.snapshot.features:
        raise RecordVoidError("the decision has no snapshot")
    return decision_entry(
        decision,
        identity,
        confidence=decision.verdict.confidence,
        facts=build_facts(decision, identity.caller, random_bytes(NONCE_SIZE_BYTES)),
        personal=build_personal(
            decision.unknown_fields, identity, order, idempotency, decision.personal
        ),
        idempotency=idempotency,
    )


def decision_entry(
    decision: Made,
    identity: Identity,
    *,
    confidence: float,
    facts: dict[str, Json],
    personal: bytes,
    idempotency: Idempotency | None,
) -> Entry:
    """Return the entry of a decision of any form, its parts given.

    Parameters
    ----------
    decision
        What made it; goes into the header.
    confidence
        0 to 1.
    facts, personal
        The parts of its form.

    Raises
    ------
    RecordVoidError
        If model version, bundle or confidence is missing.
    """
    model = decision.model
    if not model.version or not model.bundle:
        raise RecordVoidError("the decision has no model version or bundle")
    if not math.isfinite(confidence):
        raise RecordVoidError("the decision has no confidence")
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
            "confidence": float(confidence) + 0.0,
        },
        facts=facts,
        personal=personal,
        order_id=identity.order_id,
        subject_id=identity.subject_id,
        idempotency=idempotency,
    )


def build_personal(
    unknown_fields: Sequence[str],
    identity: Identity,
    order: bytes,
    idempotency: Idempotency | None,
    matches: Mapping[str, Json] | None = None,
) -> bytes:
    """Return a decision's personal part, to be sealed; `parse_personal` reads it.

    Parameters
    ----------
    unknown_fields
        JSON pointers of fields that the kind does not know.
    identity
        Whose order it is.
    order
        The request body as received; UTF-8.
    idempotency
        The caller's key, if it gave one.
    matches
        Look-up name to the listed parties that it matched.

    Raises
    ------
    RecordMalformedError
        If the order is not UTF-8.
    """
    try:
        text = order.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordMalformedError("the order is not UTF-8") from error
    used: Json = None
    if idempotency is not None:
        used = {
            "caller": idempotency.caller,
            "route": idempotency.route,
            "key": idempotency.key,
        }
    personal: Json = {
        "order_id": identity.order_id,
        "subject_id": identity.subject_id,
        "unknown_fields": [*unknown_fields],
        "idempotency": used,
        "matches": dict(matches or {}),
        "order": text,
    }
    return facts_json(personal)


def parse_personal(plaintext: bytes) -> PersonalPart:
    """Read a decision's opened personal part.

    Raises
    ------
    RecordMalformedError
        If the bytes are not a decision's personal part.
    """
    body = parse_json(plaintext)
    if not isinstance(body, dict):
        raise RecordMalformedError("the personal part is not an object")
    order_id, subject_id, order = body.get("order_id"), body.get("subject_id"), body.get("order")
    unknown = body.get("unknown_fields")
    if not isinstance(order_id, str) or not isinstance(order, str):
        raise RecordMalformedError("the personal part names no order")
    if not isinstance(unknown, list) or not isinstance(subject_id, str | None):
        raise RecordMalformedError("the personal part is not a decision's")
    matches = body.get("matches")
    return PersonalPart(
        order_id,
        subject_id,
        tuple(map(str, unknown)),
        order.encode(),
        matches if isinstance(matches, dict) else {},
    )


def build_header(
    entry: Entry, facts_sha256: str | None, sealed: SealedPart | None
) -> dict[str, Json]:
    """Return an entry's whole header; fields without a value are left out.

    Parameters
    ----------
    entry
        The entry.
    facts_sha256
        Hex digest of the facts part's stored bytes.
    sealed
        The personal part as it is stored.
    """
    header: dict[str, Json] = {
        **entry.header,
        "v": HEADER_VERSION,
        "type": entry.entry_type.value,
        "id": entry.entry_id,
        "recorded_at": format_time(entry.recorded_at),
        "about": entry.about,
        "facts_sha256": facts_sha256,
        "personal_sha256": None if sealed is None else sealed.digest,
        "personal_commitment": None if sealed is None else sealed.commitment,
    }
    return {name: value for name, value in header.items() if value is not None}


def derive_lookup(
    header: Mapping[str, Json], facts: Mapping[str, Json] | None, hashes: Hashes
) -> Lookup:
    """Return what an entry is searched by.

    Parameters
    ----------
    header, facts
        The entry's.
    hashes
        Of its identifiers; empty after an erasure.

    Raises
    ------
    RecordMalformedError
        If header or facts hold a value of another type.
    """
    said = facts or {}
    automated = said.get("automated")
    if not isinstance(automated, bool | None):
        raise RecordMalformedError("automated is not true or false")
    return Lookup(
        entry_type=_text(header, "type") or "",
        kind=_text(header, "kind"),
        outcome=_text(said, "outcome"),
        automated=automated,
        recorded_at=_text(header, "recorded_at") or "",
        order_hash=hashes.order,
        subject_hash=hashes.subject,
        about=_text(header, "about"),
        chain_id=_text(header, "chain_id"),
    )


def _text(values: Mapping[str, Json], name: str) -> str | None:
    value = values.get(name)
    if not isinstance(value, str | None):
        raise RecordMalformedError(f"{name} is not a text")
    return value
