"""Stored records as the use cases need them: found, opened, and made into answers."""

import os
import secrets
from base64 import b64encode
from hashlib import sha256

from audit.canonical import parse_json
from audit.errors import (
    ErasedError,
    IdempotencyConflictError,
    RecordNotFoundError,
    RecordPurgedError,
)
from audit.log import Appended, read_appended, read_receipt
from audit.records import (
    EntryType,
    Idempotency,
    PersonalPart,
    hash_idempotency_key,
    parse_personal,
)
from audit.retention import collect_purges
from audit.scan import scan_purges
from audit.store import Record
from models.domain import Json
from models.errors import FieldFault
from service.answers import JsonObject, StoredDecision
from service.errors import DecisionNotFoundError, RequestInvalidError
from service.wiring import Platform

_LONGEST_KEY = 255
_NONCE_BYTES = 32


def new_id() -> str:
    """Return an id that nobody can guess: 128 random bits."""
    return secrets.token_hex(16)


def build_nonce() -> dict[str, Json]:
    """Return the fields that every facts part begins with."""
    return {"version": 1, "nonce": b64encode(os.urandom(_NONCE_BYTES)).decode("ascii")}


def check_idempotency_key(key: str | None) -> None:
    """Refuse a key that is not 1 to 255 visible ASCII characters.

    Raises
    ------
    RequestInvalidError
        Pointing at the header.
    """
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and _visible(key)):
        fault = FieldFault("/headers/idempotency-key", "not 1 to 255 visible ASCII characters")
        raise RequestInvalidError((fault,))


def build_idempotency(caller: str, route: str, key: str | None, body: bytes) -> Idempotency | None:
    """Return a caller's key in its scope; None when the caller gave none."""
    return None if key is None else Idempotency(caller, route, key, sha256(body).digest())


def find_repeat(platform: Platform, used: Idempotency | None) -> Appended | None:
    """Return the entry that a key led to before, if there is one.

    Raises
    ------
    IdempotencyConflictError
        When it was used with another body.
    """
    if used is None:
        return None
    sealer = platform.sealer
    key_hash = hash_idempotency_key(used.caller, used.route, used.key, sealer)
    with platform.store.reading() as reading:
        answered = reading.answered([key_hash]).get(key_hash)
        if answered is None:
            return None
        leaf_index, body_hash = answered
        if body_hash != sealer.keyed_hash("body", used.body_sha256.hex()):
            raise IdempotencyConflictError("this Idempotency-Key was used before with another body")
        return read_appended(reading, leaf_index)


def find_decision(platform: Platform, decision_id: str) -> Record:
    """Return a decision's record.

    Raises
    ------
    DecisionNotFoundError
        When no decision has this id.
    """
    try:
        with platform.store.reading() as reading:
            record = reading.record(decision_id)
    except RecordNotFoundError as error:
        raise DecisionNotFoundError("no decision has this id") from error
    if read_header(record.leaf).get("type") != EntryType.DECISION:
        raise DecisionNotFoundError("no decision has this id")
    return record


def find_kept_decision(platform: Platform, decision_id: str) -> Record:
    """Return a decision's record, with its facts.

    Raises
    ------
    DecisionNotFoundError
        When no decision has this id.
    RecordPurgedError
        When its retention has ended; header and proof are all that is left.
    """
    record = find_decision(platform, decision_id)
    verify_kept(platform, record)
    return record


def verify_kept(platform: Platform, record: Record) -> None:
    """Refuse a record that was purged.

    Raises
    ------
    RecordPurgedError
        Naming the purge's entry and its date.
    """
    if record.facts is not None:
        return
    with platform.store.raw() as connection:
        purges = collect_purges(scan_purges(connection))
    purge = purges.covering(record.leaf_index, read_header(record.leaf))
    if purge is not None:
        detail = f"the record was purged at {purge.recorded_at}, says entry {purge.entry_id}"
        raise RecordPurgedError(detail)


def read_stored(platform: Platform, record: Record, *, with_personal: bool) -> StoredDecision:
    """Return a decision's stored bytes with its receipt as first given."""
    return StoredDecision(
        leaf_index=record.leaf_index,
        tree_size=record.tree_size,
        leaf=record.leaf,
        facts=record.facts or b"null",
        personal=find_personal(platform, record) if with_personal else None,
        receipt=read_receipt(platform.store, record.entry_id),
    )


def open_personal(platform: Platform, record: Record) -> PersonalPart:
    """Return a decision's personal part.

    Raises
    ------
    ErasedError
        When the data subject was erased.
    SealBrokenError, SubjectKeyMissingError, RecordMalformedError
        When it was altered, or its key is gone.
    """
    return parse_personal(platform.sealer.open(record.entry_id, record.sealed or b""))


def find_personal(platform: Platform, record: Record) -> PersonalPart | None:
    """Return a decision's personal part; None when it was purged or the data subject erased.

    Raises
    ------
    SealBrokenError, SubjectKeyMissingError, RecordMalformedError
        When it was altered, or its key is gone.
    """
    if record.sealed is None:
        return None
    try:
        return open_personal(platform, record)
    except ErasedError:
        return None


def is_erased(platform: Platform, record: Record) -> bool:
    """Tell whether the data subject of a record was erased."""
    if record.sealed is None:
        return False
    key_id = platform.sealer.key_id(record.sealed)
    return platform.subject_keys.ledger.is_erased(key_id)


def read_header(leaf: bytes) -> JsonObject:
    """Return a header's fields."""
    return read_object(parse_json(leaf))


def read_object(value: Json) -> JsonObject:
    """Return a JSON object, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _visible(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
