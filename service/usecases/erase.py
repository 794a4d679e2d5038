"""Erasing data subjects and holding them for a court; each act is an entry that names the actor."""

import re
from base64 import b64encode
from collections import Counter
from typing import Final, Literal, TypeAlias

from audit.erasure import Vault, apply_ledger, build_line, erase, find_key, hold
from audit.identifiers import Owner
from audit.ledger import Act
from audit.log import Appended
from audit.records import EntryType, format_time
from models.domain import Json
from models.errors import FieldFault
from service.answers import JsonObject
from service.errors import RequestInvalidError
from service.usecases.exported import remove_exports
from service.usecases.records import new_id
from service.wiring import Platform

SubjectKind: TypeAlias = Literal["subject", "order"]
DEFAULT_REASON: Final = "request"
# A code or a ticket: free text would bring back into the log whom it speaks of.
_REASON: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")
_MOST_NAMED: Final = 1000
# What nobody can be shown any more of an erased decision.
LOST: Final = (
    "order_id",
    "subject_id",
    "order",
    "counterfactuals.order",
    "matches",
    "warnings",
    "override.comment",
    "outcome.details",
    "idempotency_key",
    "search_by_order",
    "replay_from_order",
)


def erase_subject(
    platform: Platform, name: str, *, kind: SubjectKind, actor: str, reason: str
) -> JsonObject:
    """Erase a data subject; durable when this returns.

    Parameters
    ----------
    name
        Id of the customer, or of the order when `kind` is "order".
    kind
        Orders that came without a customer's id have a key each, and are erased by their own id.
    actor
        Id of the API key.
    reason
        A code or ticket number.

    Returns
    -------
    JsonObject
        The entry that proves it, how many records of each type it covers, their decisions' ids
        (at most 1000), what can no longer be shown, and the exports that opened any of them: the
        files of our own are removed, the others are the operator's to remove.

    Raises
    ------
    RequestInvalidError
        When the reason is not a code.
    SubjectNotFoundError, SubjectHeldError
        When there is nothing to erase, or it may not be.
    StoreUnavailableError, OverloadedError, DeadlineError
        When it could not be finished; what is missing is done with the next erasure or start.
    """
    _check_reason(reason)
    now = platform.now()
    vault = _vault(platform)
    # What an earlier erasure could not finish comes first.
    apply_ledger(vault, now)
    owner = Owner(kind, name)
    key_id = find_key(vault, owner)
    line = build_line(
        Act.ERASE, entry_id=new_id(), key_id=key_id, now=now, actor=actor, reason=reason
    )
    # Before the key, so that a crash in between leaves no file of ours that shows the subject.
    if not platform.subject_keys.ledger.is_held(key_id):
        remove_exports(platform, _find_records(platform, owner))
    erased = erase(vault, owner, line, now)
    leaf_indexes = [one.leaf_index for one in erased.records]
    exports: list[Json] = [*remove_exports(platform, leaf_indexes)]
    counts: dict[str, Json] = {**Counter(one.entry_type for one in erased.records)}
    decisions: list[Json] = [
        one.entry_id for one in erased.records if one.entry_type == EntryType.DECISION
    ]
    return {
        "entry_id": erased.entry.entry_id,
        "erased_at": format_time(now),
        "records": counts,
        "decision_ids": decisions[:_MOST_NAMED],
        "lost": [*LOST],
        "exports": exports[:_MOST_NAMED],
        "receipt": _receipt(erased.entry),
    }


def hold_subject(
    platform: Platform, name: str, *, kind: SubjectKind, actor: str, reason: str, is_held: bool
) -> JsonObject:
    """Forbid to erase a data subject, or allow it again.

    Parameters
    ----------
    name, kind, actor, reason
        See `erase_subject`.
    is_held
        Whether it is forbidden from here on.

    Raises
    ------
    RequestInvalidError
        When the reason is not a code.
    SubjectNotFoundError
        When nothing is sealed for this subject.
    StoreUnavailableError, OverloadedError, DeadlineError
        When it could not be recorded.
    """
    _check_reason(reason)
    now = platform.now()
    vault = _vault(platform)
    key_id = find_key(vault, Owner(kind, name))
    act = Act.HOLD if is_held else Act.RELEASE
    line = build_line(act, entry_id=new_id(), key_id=key_id, now=now, actor=actor, reason=reason)
    entry = hold(vault, line, now)
    return {"entry_id": entry.entry_id, "held": is_held, "receipt": _receipt(entry)}


def _find_records(platform: Platform, owner: Owner) -> list[int]:
    hashed = platform.sealer.keyed_hash(owner.domain, owner.name)
    is_order = owner.domain == "order"
    with platform.store.reading() as reading:
        found = reading.sealed_by(
            order_hash=hashed if is_order else None, subject_hash=None if is_order else hashed
        )
    return [one.leaf_index for one in found]


def _vault(platform: Platform) -> Vault:
    return Vault(platform.store, platform.subject_keys, platform.sealer, platform.writer.record_one)


def _check_reason(reason: str) -> None:
    if not _REASON.match(reason):
        fault = FieldFault("/query/reason", "not a code or ticket number of 1 to 64 characters")
        raise RequestInvalidError((fault,))


def _receipt(entry: Appended) -> JsonObject:
    return {
        "leaf_index": entry.leaf_index,
        "tree_size": entry.tree_size,
        "leaf": b64encode(entry.leaf).decode("ascii"),
        "proof": entry.receipt,
    }
