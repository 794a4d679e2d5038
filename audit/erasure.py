"""Erasing a data subject, holding one, and making it last.

An erasure is, in this order: a line in the ledger, from which moment nothing more is sealed under
the subject's key; the key destroyed; an entry of the log, in whose transaction the subject's
look-ups are removed. Header, facts and proofs stay. A crash after the first step leaves a line
whose entry is missing, as does a database restored from a backup: `apply_ledger` finishes it
before anything is served.
"""

import os
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from audit.canonical import parse_json
from audit.errors import (
    EntryExistsError,
    LedgerBehindError,
    LedgerDamagedError,
    SubjectHeldError,
    SubjectNotFoundError,
)
from audit.identifiers import Owner
from audit.ledger import DESTROYS, Act, LedgerLine
from audit.log import Appended, read_appended
from audit.opening import commit_key
from audit.reading import Record, Sealed
from audit.records import NONCE_SIZE_BYTES, Entry, EntryType, format_time
from audit.seal import Sealer
from audit.store import Store
from audit.subject_keys import SubjectKeyStore
from models.domain import Json

_ACTS = (EntryType.ERASURE, EntryType.HOLD)
Recorder = Callable[[Entry], Appended]


@dataclass(frozen=True, slots=True)
class Vault:
    """A log and the keys that open it.

    Parameters
    ----------
    store, keys, sealer
        Of the log.
    record
        Makes an entry durable.
    """

    store: Store
    keys: SubjectKeyStore
    sealer: Sealer
    record: Recorder


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did.

    Parameters
    ----------
    entry
        Its entry in the log.
    records
        The entries whose sealed parts nobody can open any more, by their place.
    """

    entry: Appended
    records: tuple[Sealed, ...]


def erase(vault: Vault, owner: Owner, line: LedgerLine, now: datetime) -> Erased:
    """Erase a data subject, or an order that has none.

    Parameters
    ----------
    vault
        Where.
    owner
        Who.
    line
        From `build_line`, with the act `Act.ERASE`.
    now
        Aware time of the entry.

    Raises
    ------
    SubjectHeldError
        If a legal hold forbids it.
    StoreUnavailableError
        If it could not be finished. Once the ledger has its line the subject is erased; what is
        missing is done at the next erasure or start.
    """
    ledger, sealer = vault.keys.ledger, vault.sealer
    # 1. From its line in the ledger on, the key seals and opens nothing more.
    if ledger.is_held(bytes.fromhex(line.key_id)):
        raise SubjectHeldError("a legal hold forbids to erase this data subject")
    ledger.append(line)
    # 2. Destroy the key.
    vault.keys.destroy([bytes.fromhex(line.key_id)])
    # 3. Whoever writes now knows the ledger: after this turn no entry comes under that key.
    with vault.store.writing() as writing:
        hashed = sealer.keyed_hash(owner.domain, owner.name)
        is_order = owner.domain == "order"
        found = writing.sealed_by(
            order_hash=hashed if is_order else None, subject_hash=None if is_order else hashed
        )
    records = tuple(one for one in found if sealer.key_id(one.head).hex() == line.key_id)
    # 4. Record it, and remove the look-ups with it.
    entry = _record_once(vault, build_entry(line, records, now))
    # 5. Old pages with the keyed hashes leave the write-ahead log.
    vault.store.fold()
    return Erased(entry, records)


def hold(vault: Vault, line: LedgerLine, now: datetime) -> Appended:
    """Forbid to erase a data subject, or allow it again, as the line's act says.

    Raises
    ------
    StoreUnavailableError
        If it could not be recorded; the ledger may know it already, and it is recorded at the
        next start.
    """
    vault.keys.ledger.append(line)
    return _record_once(vault, build_entry(line, (), now))


def find_key(vault: Vault, owner: Owner) -> bytes:
    """Return the id of an owner's key, 16 bytes.

    Raises
    ------
    SubjectNotFoundError
        If nothing was sealed for this owner, or it was erased.
    """
    key_id = vault.keys.find_owner(owner.hashed(vault.sealer))
    if key_id is None or vault.keys.ledger.is_erased(key_id):
        raise SubjectNotFoundError(f"nothing is sealed for this {owner.domain}")
    return key_id


def build_line(
    act: Act, *, entry_id: str, key_id: bytes, now: datetime, actor: str, reason: str
) -> LedgerLine:
    """Return a line for the ledger.

    Parameters
    ----------
    act
        What is done.
    entry_id
        Id of the entry that is to record it.
    key_id
        From `find_key`.
    now
        Aware time.
    actor
        Who does it.
    reason
        A code or ticket number; nothing personal.
    """
    return LedgerLine(act, entry_id, key_id.hex(), format_time(now), actor, reason)


def build_entry(line: LedgerLine, records: Sequence[Sealed], now: datetime) -> Entry:
    """Return the entry that records an act; it names the key by a hash of its random id.

    Parameters
    ----------
    line
        The act.
    records
        For an erasure: whose look-ups leave with it.
    now
        Aware time.
    """
    keys: list[Json] = [commit_key(bytes.fromhex(line.key_id))]
    counts: dict[str, Json] = {**Counter(one.entry_type for one in records)}
    facts: dict[str, Json] = {
        "version": 1,
        "nonce": b64encode(os.urandom(NONCE_SIZE_BYTES)).decode("ascii"),
        "act": line.act.value,
        "at": line.at,
        "actor": line.actor,
        "reason": line.reason,
        "keys": keys,
    }
    is_erasure = line.act == Act.ERASE
    return Entry(
        entry_id=line.entry_id,
        entry_type=EntryType.ERASURE if is_erasure else EntryType.HOLD,
        recorded_at=now,
        header={},
        facts={**facts, "records": counts} if is_erasure else facts,
        clears=tuple(one.leaf_index for one in records),
    )


def apply_ledger(vault: Vault, now: datetime) -> int:
    """Do again what the ledger says and the database or the key store does not know.

    Parameters
    ----------
    vault
        What is to be opened.
    now
        Aware time of the entries.

    Returns
    -------
    int
        How many acts were missing in the log.

    Raises
    ------
    LedgerBehindError
        If the log records acts that the ledger does not know.
    LedgerDamagedError
        If a line of the ledger says something else than the entry that records it.
    StoreUnavailableError, LogDamagedError
        If it could not be done; nothing may be served then.
    """
    # In this order: an act stands in the ledger before it stands in the log.
    vault.keys.ledger.settle()
    with vault.store.reading() as reading:
        recorded = reading.records_of(_ACTS)
    lines = vault.keys.ledger.lines()
    missing = _missing(lines, recorded)
    for line in lines:
        _verify_line(line, recorded.get(line.entry_id))
    destroyed = [bytes.fromhex(line.key_id) for line in lines if line.act in DESTROYS]
    vault.keys.destroy_known(destroyed)
    found = _find_sealed(vault, {line.key_id for line in missing if _erases(line)})
    for line in missing:
        own = found[line.key_id] if _erases(line) else []
        _record_once(vault, build_entry(line, own, now))
    if missing:
        vault.store.fold()
    return len(missing)


def _record_once(vault: Vault, entry: Entry) -> Appended:
    try:
        return vault.record(entry)
    except EntryExistsError:
        # Another process that was just starting has finished the act for us.
        with vault.store.reading() as reading:
            return read_appended(reading, reading.record(entry.entry_id).leaf_index)


def _erases(line: LedgerLine) -> bool:
    return line.act == Act.ERASE


def _find_sealed(vault: Vault, key_ids: set[str]) -> dict[str, list[Sealed]]:
    found: dict[str, list[Sealed]] = {key_id: [] for key_id in key_ids}
    if not key_ids:
        return found
    # Whoever had begun to write before the ledger had its line is done after this turn.
    with vault.store.writing():
        pass
    # No index goes by key: this reads every sealed part's head, once.
    with vault.store.reading() as reading:
        for one in reading.scan_sealed():
            found.get(vault.sealer.key_id(one.head).hex(), []).append(one)
    return found


def _verify_line(line: LedgerLine, record: Record | None) -> None:
    # Whoever edits the ledger could have us destroy the key of a subject who asked for nothing.
    # Facts that were edited instead speak for nobody; `audit.verify` names them.
    if record is None or record.facts is None:
        return
    if f'"facts_sha256":"{sha256(record.facts).hexdigest()}"'.encode() not in record.leaf:
        return
    said = parse_json(record.facts)
    expected = {name: getattr(line, name) for name in ("act", "at", "actor", "reason")}
    expected["keys"] = [commit_key(bytes.fromhex(line.key_id))]
    if not isinstance(said, dict) or any(said.get(n) != one for n, one in expected.items()):
        detail = f"the line of {line.entry_id} is not the act that the log records"
        raise LedgerDamagedError(detail)


def _missing(lines: Sequence[LedgerLine], recorded: Collection[str]) -> list[LedgerLine]:
    unknown = set(recorded) - {line.entry_id for line in lines}
    if unknown:
        detail = f"the erasure ledger lacks {len(unknown)} act(s) that the log records"
        raise LedgerBehindError(detail)
    # That a key expired says the entry of the purge, which is there before the line.
    acts = [line for line in lines if line.act != Act.EXPIRE]
    return [line for line in acts if line.entry_id not in recorded]
