"""Appending to the log, and the receipts it gives.

`append` is the main path of this package: entries become headers, a longer tree and one signed
checkpoint, in one transaction, or nothing at all. Whoever gets an `Appended` may answer: what it
names is durable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from audit.checkpoint import Checkpoint, LogSigner, parse_checkpoint
from audit.clock import read_last_time
from audit.drafts import Draft, build_drafts, put_in_time, recount
from audit.errors import (
    CheckpointInvalidError,
    IdempotencyConflictError,
    LogDamagedError,
    RecordNotFoundError,
)
from audit.merkle import (
    NodeId,
    Tree,
    consistency_ids,
    edge_ids,
    extend,
    inclusion_ids,
    peaks,
    root_of_peaks,
)
from audit.receipt import format_receipt
from audit.records import Entry
from audit.rotation import KEY_CHANGES
from audit.seal import Sealer
from audit.store import Reading, Record, Store, Writing
from audit.tables import (
    CheckpointRow,
    EntryRow,
    FactsRow,
    IdempotencyRow,
    LookupRow,
    NodeRow,
    PersonalRow,
)
from audit.witnessed import Authority, SoleSigner


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry that is durably in the log.

    Parameters
    ----------
    leaf_index, tree_size, entry_id
        Its place, the size of the tree that the receipt is about, its id.
    leaf, facts
        The exact bytes stored.
    receipt
        tlog-proof text.
    repeated
        True when an Idempotency-Key led to an entry recorded before (`entry_id` is that one's).
    rest
        The entries recorded with it, right after it.
    """

    leaf_index: int
    tree_size: int
    entry_id: str
    leaf: bytes
    facts: bytes | None
    receipt: str
    repeated: bool
    rest: "tuple[Appended, ...]" = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which drafts are new, and what each entry given is answered with.

    An answer is a place in the log of an entry recorded before, or a new draft.
    """

    new: list[Draft]
    answers: list[int | Draft | IdempotencyConflictError]


def append(
    store: Store, entries: Sequence[Entry], signer: LogSigner | Authority, sealer: Sealer
) -> list[Appended | IdempotencyConflictError]:
    """Append entries as one batch under one checkpoint, all or nothing.

    Parameters
    ----------
    store
        Where to.
    entries
        In the order in which they are to stand in the log.
    signer
        Signs the checkpoint; an authority (`audit.witnessed`) also compares the log with what is
        kept outside the database, before it signs and before anything is answered.
    sealer
        Seals personal parts and makes keyed hashes.

    Returns
    -------
    list
        For each entry, in order: the appended entry, the one that its Idempotency-Key led to
        before, or the conflict (which does not hinder the others).

    Raises
    ------
    StoreUnavailableError
        If the store is full, locked or gone, and nothing was recorded; or the checkpoint could
        not be kept outside, and what was recorded may not be answered yet.
    LogDamagedError
        If the stored tree does not match its last checkpoint, or (`LogRolledBackError`) the one
        kept outside; nothing was recorded.
    LogKeyChangedError
        If an entry changes the log's key and does not follow from the one in use.
    RecordVoidError, EntryExistsError, RecordMalformedError
        If an entry may not be recorded; none of the batch was.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import datetime
    >>> from pathlib import Path
    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> from audit.receipt import verify_receipt
    >>> from audit.records import EntryType
    >>> from audit.store import open_store
    >>> from audit.key_encryption import KeyEncryption
    >>> from audit.subject_keys import open_subject_keys
    >>> signer = LogSigner("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    >>> entry = Entry("p-1", EntryType.PUBLICATION, datetime.fromisoformat("2026-01-15T08Z"), {})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_store(f"sqlite:///{folder}/log.db")
    ...     keys = open_subject_keys(Path(folder), KeyEncryption(lambda: {1: bytes(32)}))
    ...     [appended] = append(store, [entry], signer, Sealer(keys, bytes(32)))
    ...     keys.close()
    ...     store.close()
    >>> verify_receipt(appended.receipt, appended.leaf, signer.verifier_key).tree_size
    1
    """
    # 1. Make all that needs no place in the log before other writers have to wait.
    authority = SoleSigner(signer) if isinstance(signer, LogSigner) else signer
    generation = sealer.keys.generation()
    drafts = build_drafts(entries, sealer)
    with store.writing() as writing:
        # Nothing is recorded under a key that was destroyed since.
        if sealer.keys.generation() != generation:
            drafts = build_drafts(entries, sealer)
        # 2. Find the end of the log, and make sure that it is what was last signed.
        old_size = writing.tree_size()
        known = writing.nodes(peaks(old_size))
        old_note = writing.head()
        authority.verify_head(writing, _verify_head(old_note, old_size, known))
        # 3. Separate new entries from retries and conflicts.
        plan = _resolve(drafts, writing)
        # 4. Decide again what was decided with counts that have moved on; no time runs backwards.
        groups = [recount(draft, writing, sealer) for draft in plan.new]
        groups = put_in_time(groups, read_last_time(writing, old_size))
        new = [draft for group in groups for draft in group.all()]
        # 5. Extend the tree and sign its new head.
        new_nodes = extend(old_size, [draft.leaf_hash for draft in new], known)
        tree = Tree(old_size + len(new), known | new_nodes) if new else None
        chosen = authority.choose_signer(writing, _key_changes(new))
        note = chosen.sign(tree.tree_size, tree.root_hash) if tree else old_note
        # 6. Write it all.
        if tree and note:
            _insert(writing, new, old_size, new_nodes, note)
        repeats = _read_repeats(writing, plan)
    # 7. It is durable now; keep the checkpoint outside too, then answer.
    if note:
        authority.keep(note)
    places = iter(range(old_size, old_size + len(new)))
    fresh = [
        _appended(group, [next(places) for _ in group.all()], tree, note)
        for group in groups
        if tree and note
    ]
    return _answers(plan, fresh, repeats)


def read_receipt(store: Store, entry_id: str) -> str:
    """Return an entry's receipt exactly as it was first given.

    Raises
    ------
    RecordNotFoundError
        If there is no such entry.
    """
    with store.reading() as reading:
        return _receipt_of(reading, reading.record(entry_id))


def consistency(store: Store, from_size: int, to_size: int) -> list[bytes]:
    """Return the consistency proof between two sizes of the log, hashes of 32 bytes.

    Raises
    ------
    RecordNotFoundError
        If the sizes are not 0 <= from <= to <= the log's.
    """
    with store.reading() as reading:
        if not 0 <= from_size <= to_size <= reading.tree_size():
            raise RecordNotFoundError(f"the log never grew from {from_size} to {to_size}")
        ids = edge_ids(to_size) + consistency_ids(from_size, to_size)
        return Tree(to_size, reading.nodes(ids)).consistency_proof(from_size)


def _key_changes(drafts: list[Draft]) -> list[bytes]:
    return [draft.leaf for draft in drafts if draft.lookup.entry_type in KEY_CHANGES]


def _verify_head(note: str | None, tree_size: int, known: dict[NodeId, bytes]) -> Checkpoint | None:
    # Signing a tree that was tampered with would make the tampering true.
    if set(known) != set(peaks(tree_size)):
        raise LogDamagedError("a node at the end of the tree is missing")
    root_hash = root_of_peaks([known[name] for name in peaks(tree_size)])
    if note is None:
        if tree_size:
            raise LogDamagedError("the log has entries but no checkpoint")
        return None
    try:
        head = parse_checkpoint(note)
    except CheckpointInvalidError as error:
        raise LogDamagedError("the last checkpoint is malformed") from error
    if (head.tree_size, head.root_hash) != (tree_size, root_hash):
        raise LogDamagedError("the tree is not the one that was last signed by this log")
    return head


def _resolve(drafts: list[Draft], reading: Reading) -> _Plan:
    used: dict[bytes, tuple[int | Draft, bytes]] = {
        **reading.answered([draft.key_hash for draft in drafts if draft.key_hash])
    }
    plan = _Plan(new=[], answers=[])
    for draft in drafts:
        if draft.key_hash is not None and draft.key_hash in used:
            first, body_hash = used[draft.key_hash]
            plan.answers.append(first if body_hash == draft.body_hash else _conflict())
            continue
        if draft.key_hash is not None and draft.body_hash is not None:
            used[draft.key_hash] = (draft, draft.body_hash)
        plan.answers.append(draft)
        plan.new.append(draft)
    return plan


def _conflict() -> IdempotencyConflictError:
    return IdempotencyConflictError("this Idempotency-Key was used before with another body")


def _insert(
    writing: Writing, new: list[Draft], old_size: int, nodes: dict[NodeId, bytes], note: str
) -> None:
    places = list(enumerate(new, start=old_size))
    tree_size = old_size + len(new)
    # Parts come first: the trigger on entries looks for them.
    parts = [
        {"leaf_index": at, "body": draft.facts, "month": draft.month}
        for at, draft in places
        if draft.facts is not None
    ]
    writing.insert(FactsRow, parts)
    sealed = [
        {"leaf_index": at, "sealed": draft.sealed, "month": draft.month}
        for at, draft in places
        if draft.sealed is not None
    ]
    writing.insert(PersonalRow, sealed)
    writing.insert(EntryRow, [_entry_values(at, draft, tree_size) for at, draft in places])
    writing.insert(LookupRow, [_lookup_values(at, draft) for at, draft in places])
    writing.insert(
        IdempotencyRow,
        [
            {"key_hash": draft.key_hash, "leaf_index": at, "body_hash": draft.body_hash}
            for at, draft in places
            if draft.key_hash
        ],
    )
    writing.insert(
        NodeRow,
        [
            {"level": level, "node_index": index, "hash": digest}
            for (level, index), digest in nodes.items()
            if level > 0
        ],
    )
    writing.insert(CheckpointRow, [{"tree_size": tree_size, "note": note}])
    writing.clear_lookups([place for draft in new for place in draft.clears])
    for draft in new:
        if draft.removes is not None:
            writing.remove(draft.removes)


def _entry_values(leaf_index: int, draft: Draft, tree_size: int) -> dict[str, Any]:
    return {
        "leaf_index": leaf_index,
        "entry_id": draft.entry_id,
        "leaf": draft.leaf,
        "leaf_hash": draft.leaf_hash,
        "tree_size": tree_size,
        "month": draft.month,
    }


def _lookup_values(leaf_index: int, draft: Draft) -> dict[str, Any]:
    lookup = draft.lookup
    return {
        "leaf_index": leaf_index,
        "entry_id": draft.entry_id,
        "entry_type": lookup.entry_type,
        "kind": lookup.kind,
        "outcome": lookup.outcome,
        "automated": lookup.automated,
        "recorded_at": draft.recorded_at,
        "order_hash": lookup.order_hash,
        "subject_hash": lookup.subject_hash,
        "about": lookup.about,
        "chain_id": lookup.chain_id,
    }


def _read_repeats(reading: Reading, plan: _Plan) -> dict[int, Appended]:
    old = {answer for answer in plan.answers if isinstance(answer, int)}
    return {place: read_appended(reading, place) for place in old}


def read_appended(reading: Reading, leaf_index: int) -> Appended:
    """Return an entry recorded before, with those recorded with it, as they were answered.

    Raises
    ------
    RecordNotFoundError
        If there is no such entry.
    """
    head = reading.record_at(leaf_index)
    records = [head, *reading.recorded_with(head)]
    first, *rest = [
        Appended(
            leaf_index=record.leaf_index,
            tree_size=record.tree_size,
            entry_id=record.entry_id,
            leaf=record.leaf,
            facts=record.facts,
            receipt=_receipt_of(reading, record),
            repeated=True,
        )
        for record in records
    ]
    return replace(first, rest=tuple(rest))


def _receipt_of(reading: Reading, record: Record) -> str:
    ids = edge_ids(record.tree_size) + inclusion_ids(record.leaf_index, record.tree_size)
    tree = Tree(record.tree_size, reading.nodes(ids))
    note = reading.checkpoint_at(record.tree_size)
    return format_receipt(record.leaf_index, tree.inclusion_proof(record.leaf_index), note)


def _appended(group: Draft, places: list[int], tree: Tree, note: str) -> Appended:
    first, *rest = [
        Appended(
            leaf_index=place,
            tree_size=tree.tree_size,
            entry_id=draft.entry_id,
            leaf=draft.leaf,
            facts=draft.facts,
            receipt=format_receipt(place, tree.inclusion_proof(place), note),
            repeated=False,
        )
        for draft, place in zip(group.all(), places, strict=True)
    ]
    return replace(first, rest=tuple(rest))


def _answers(
    plan: _Plan, fresh: list[Appended], repeats: dict[int, Appended]
) -> list[Appended | IdempotencyConflictError]:
    # By identity: a draft is equal only to itself, and a retry in the batch names the first one.
    made = {id(draft): appended for draft, appended in zip(plan.new, fresh, strict=True)}
    answers: list[Appended | IdempotencyConflictError] = []
    seen: set[int] = set()
    for answer in plan.answers:
        if isinstance(answer, IdempotencyConflictError):
            answers.append(answer)
        elif isinstance(answer, int):
            answers.append(repeats[answer])
        else:
            first = made[id(answer)]
            answers.append(replace(first, repeated=True) if id(answer) in seen else first)
            seen.add(id(answer))
    return answers
