"""Entries with everything made that needs no place in the log: header, parts, look-up, hashes."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection

from audit.canonical import canonical_json, facts_json
from audit.clock import delay_header
from audit.identifiers import Hashes, format_identifiers
from audit.merkle import leaf_hash
from audit.months import part_month
from audit.records import Counted, Entry, Lookup, build_header, derive_lookup, format_time
from audit.seal import SealedPart, Sealer
from audit.store import Writing


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry with everything made that needs no place in the log."""

    entry_id: str
    leaf: bytes
    leaf_hash: bytes
    facts: bytes | None
    sealed: bytes | None
    lookup: Lookup
    recorded_at: datetime
    key_hash: bytes | None
    body_hash: bytes | None
    counted: Counted | None
    clears: tuple[int, ...]
    removes: Callable[[Connection], None] | None
    rest: "tuple[Draft, ...]"

    @property
    def month(self) -> str:
        """Return the month of the parts."""
        # Its time may have been put off since the look-up was made (`put_in_time`).
        return part_month(self.lookup.entry_type, format_time(self.recorded_at))

    def all(self) -> "tuple[Draft, ...]":
        """Return this one and those recorded with it, in order."""
        return (self, *self.rest)


def build_drafts(entries: Sequence[Entry], sealer: Sealer) -> list[Draft]:
    """Return the drafts of some entries, sealed.

    Raises
    ------
    ErasedError, SubjectKeyMissingError, KeyEncryptionError, KeyUnavailableError
        When a part cannot be sealed.
    RecordMalformedError
        When an entry cannot be written down.
    """
    whole = [one for entry in entries for one in (entry, *entry.rest)]
    sealer.keys.prepare([_owner(one, sealer) for one in whole if _is_sealed(one)])
    return [_build(entry, sealer) for entry in entries]


def _build(entry: Entry, sealer: Sealer, head_id: str | None = None) -> Draft:
    facts = None if entry.facts is None else facts_json(entry.facts)
    sealed = _seal(entry, sealer)
    header = build_header(entry, _sha256_hex(facts), sealed)
    if head_id is not None:
        header["with"] = head_id
    leaf = canonical_json(header)
    hashes = entry.identifiers.hashes(sealer) if entry.identifiers else Hashes()
    return Draft(
        entry_id=entry.entry_id,
        leaf=leaf,
        leaf_hash=leaf_hash(leaf),
        facts=facts,
        sealed=None if sealed is None else sealed.content,
        lookup=derive_lookup(header, entry.facts, hashes),
        recorded_at=entry.recorded_at,
        key_hash=hashes.key,
        body_hash=hashes.body,
        counted=entry.counted,
        clears=entry.clears,
        removes=entry.removes,
        rest=tuple(_build(one, sealer, entry.entry_id) for one in entry.rest),
    )


def _is_sealed(entry: Entry) -> bool:
    return entry.personal is not None or bool(entry.identifiers)


def _owner(entry: Entry, sealer: Sealer) -> bytes:
    return entry.identifiers.owner(entry.entry_id).hashed(sealer)


def _seal(entry: Entry, sealer: Sealer) -> SealedPart | None:
    if not _is_sealed(entry):
        return None
    identifiers = format_identifiers(entry.identifiers)
    return sealer.seal(entry.entry_id, _owner(entry, sealer), entry.personal or b"", identifiers)


def recount(draft: Draft, writing: Writing, sealer: Sealer) -> Draft:
    """Count up what a draft takes; one decided under other counts is decided again before.

    Parameters
    ----------
    writing
        Has the writer's turn, so that the counts stay as they are found.
    """
    if draft.counted is None:
        return draft
    present = writing.counts(draft.counted.counts)
    if present != draft.counted.counts:
        draft = _build(draft.counted.redo(present), sealer)
    if draft.counted is not None:
        writing.count_up(Counter(draft.counted.taken))
    return draft


def put_in_time(groups: list[Draft], last: datetime | None) -> list[Draft]:
    """Return the drafts with times that do not run backwards.

    Parameters
    ----------
    last
        When the last entry of the log was recorded; None for an empty log.
    """
    timed = []
    for group in groups:
        head = _not_before(group, last)
        last, rest = head.recorded_at, []
        for draft in group.rest:
            rest.append(_not_before(draft, last))
            last = rest[-1].recorded_at
        timed.append(replace(head, rest=tuple(rest)))
    return timed


def _not_before(draft: Draft, last: datetime | None) -> Draft:
    if last is None or draft.recorded_at >= last:
        return draft
    leaf = delay_header(draft.leaf, draft.recorded_at, last)
    return replace(draft, leaf=leaf, leaf_hash=leaf_hash(leaf), recorded_at=last)


def _sha256_hex(part: bytes | None) -> str | None:
    return None if part is None else sha256(part).hexdigest()
