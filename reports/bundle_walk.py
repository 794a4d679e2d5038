"""Along the range, page by page: headers, checkpoints, facts, receipts and opened parts."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit.anchor import anchors_between, first_anchored_size
from audit.canonical import facts_json, parse_json
from audit.cosignature import cosignatures_between, first_cosigned_size
from audit.errors import RecordMalformedError
from audit.exported import OpenedRuns
from audit.merkle import Tree, consistency_ids, edge_ids, inclusion_ids, peaks
from audit.receipt import format_receipt
from audit.records import EntryType
from audit.retention import Purges, collect_purges
from audit.store import Reading, Record
from models.domain import Json
from reports.bundle_range import Covered, Selection
from reports.bundle_spool import Spool
from reports.verifier.parts import FACTS_BEGIN, FACTS_END
from reports.verifier.statement import OPEN_TYPES

_PAGE: Final = 128
_CHECKPOINT_PAGE: Final = 256
_MOST_STAMPS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Disclosed:
    """An opened personal part: all that its header commits to.

    Parameters
    ----------
    salt
        32 bytes.
    identifiers, plain
        What was sealed.
    """

    salt: bytes
    identifiers: bytes
    plain: bytes


@dataclass(frozen=True, slots=True)
class KeyGone:
    """Why a personal part cannot be opened: its owner's key is not there.

    Parameters
    ----------
    commitment
        How the entry of an erasure names that key.
    """

    commitment: str


Disclose = Callable[[Record], Disclosed | KeyGone | None]
OnProgress = Callable[[int, int], None]


@dataclass(slots=True)
class Gathered:
    """What the walk found.

    Parameters
    ----------
    types, kinds
        Number of entries of each type, and of decisions of each kind.
    matched
        Number of decisions asked for.
    related
        Number of entries of the range about them.
    later
        Leaf indexes of entries behind the range about them.
    models, references
        Bundle and policy, and reference tables, with the first decision that used them.
    missing_facts, missing_personal
        Leaf indexes of parts that are gone; a personal part that was erased is not among them.
    erasures
        Names of destroyed keys, each with the leaf index of the erasure's entry.
    purges, purged
        What the log says was purged, and leaf indexes of what of it would be here.
    opened
        Where the entries stand whose personal parts were opened.
    """

    types: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    matched: set[str] = field(default_factory=set)
    related: int = 0
    later: set[int] = field(default_factory=set)
    models: dict[tuple[str, str], int] = field(default_factory=dict)
    references: dict[str, int] = field(default_factory=dict)
    missing_facts: list[int] = field(default_factory=list)
    missing_personal: list[int] = field(default_factory=list)
    erasures: dict[str, int] = field(default_factory=dict)
    purges: Purges = field(default_factory=Purges)
    purged: set[int] = field(default_factory=set)
    opened: OpenedRuns = field(default_factory=OpenedRuns)


def write_checkpoints(reading: Reading, covered: Covered, spool: Spool) -> int:
    """Write the checkpoints of the range and the newest, each with its proof from the one before.

    Beside them: their cosignatures and timestamps, and the first checkpoint behind the range that
    has any.

    Returns
    -------
    int
        How many there are.
    """
    old, count = 0, 0
    for notes in _checkpoint_pages(reading, covered):
        sizes = [size for size, _ in notes]
        pairs = list(zip([old, *sizes], sizes, strict=False))
        ids = [name for a, b in pairs for name in (*edge_ids(b), *consistency_ids(a, b))]
        nodes = reading.nodes(ids)
        cosigned = cosignatures_between(reading, sizes[0], sizes[-1])
        for (before, size), (_, note) in zip(pairs, notes, strict=True):
            proof = Tree(size, nodes).consistency_proof(before)
            line: dict[str, Json] = {
                "tree_size": size,
                "note": note,
                "consistency": [*map(_base64, proof)],
            }
            if size in cosigned:
                line["cosignatures"] = [*cosigned[size]]
            spool.add_line("checkpoints.jsonl", facts_json(line))
        _write_stamps(reading, sizes[0], sizes[-1], spool)
        old, count = sizes[-1], count + len(sizes)
    edge = reading.nodes(peaks(covered.begin))
    first: Json = {
        "tree_size": covered.begin,
        "edge": [_base64(edge[name]) for name in peaks(covered.begin)],
    }
    spool.add("tree.json", facts_json(first))
    return count


def walk_range(
    reading: Reading,
    covered: Covered,
    selection: Selection,
    spool: Spool,
    *,
    disclose: Disclose | None,
    on_progress: OnProgress,
) -> Gathered:
    """Write what the bundle holds of each entry of the range.

    Parameters
    ----------
    disclose
        Opens personal parts; None leaves them out.
    """
    gathered = Gathered(purges=read_purges(reading))
    if disclose is not None:
        gathered.erasures.update(read_erasures(reading))
    for name in ("headers.jsonl", "facts.jsonl", "receipts.jsonl"):
        spool.open(name)
    if disclose is not None:
        spool.open("personal.jsonl")
    for begin in range(covered.begin, covered.end, _PAGE):
        records = reading.records_between(begin, min(begin + _PAGE, covered.end))
        shown = [
            record
            for record in records
            if _write_entry(record, selection, gathered, spool, disclose)
        ]
        _write_receipts(reading, shown, spool)
        matched = [record.entry_id for record in shown if record.entry_id in gathered.matched]
        gathered.later.update(reading.indexes_about(matched, covered.end))
        on_progress(begin + len(records) - covered.begin, covered.end - covered.begin)
    return gathered


def prove_inclusion(reading: Reading, places: Sequence[tuple[int, int]]) -> list[list[bytes]]:
    """Return the inclusion proof of each pair of leaf index and tree size."""
    ids = {name for _, size in places for name in edge_ids(size)}
    ids.update(name for index, size in places for name in inclusion_ids(index, size))
    nodes = reading.nodes(ids)
    trees = {size: Tree(size, nodes) for _, size in places}
    return [trees[size].inclusion_proof(index) for index, size in places]


def read_erasures(reading: Reading) -> dict[str, int]:
    """Return the names of destroyed keys, each with the leaf index of the erasure's entry."""
    erasures: dict[str, int] = {}
    after = -1
    while found := reading.found_after(after, [EntryType.ERASURE], _PAGE):
        for one in found:
            facts = parse_json(reading.record_at(one.leaf_index).facts or b"{}")
            keys = facts.get("keys") if isinstance(facts, dict) else None
            named = keys if isinstance(keys, list) else []
            erasures.update({str(key): one.leaf_index for key in named})
        after = found[-1].leaf_index
    return erasures


def read_purges(reading: Reading) -> Purges:
    """Return what the log says was purged; an entry that does not hold covers nothing."""
    found = reading.records_of([EntryType.PURGE]).values()
    return collect_purges((one.leaf_index, one.leaf, one.facts) for one in found)


def read_header_fields(leaf: bytes) -> dict[str, Json]:
    """Return a header's fields.

    Raises
    ------
    RecordMalformedError
        When it is no JSON object, or would not fit into a line.
    """
    header = parse_json(leaf)
    if not isinstance(header, dict) or b"\n" in leaf:
        raise RecordMalformedError("a header is no JSON object on one line")
    return header


def _write_entry(
    record: Record,
    selection: Selection,
    gathered: Gathered,
    spool: Spool,
    disclose: Disclose | None,
) -> bool:
    header = read_header_fields(record.leaf)
    spool.add_line("headers.jsonl", record.leaf)
    entry_type = str(header.get("type"))
    gathered.types[entry_type] += 1
    if entry_type == EntryType.DECISION:
        gathered.kinds[str(header.get("kind"))] += 1
    is_matched = selection.matches(header)
    if is_matched:
        gathered.matched.add(record.entry_id)
    is_related = header.get("about") in gathered.matched
    gathered.related += is_related
    if is_matched or is_related or entry_type in OPEN_TYPES:
        _write_facts(record, header, gathered, spool)
    if is_matched:
        _pin(record, header, gathered)
    is_shown = is_matched or is_related
    if record.leaf_index in gathered.purged:
        return is_shown
    if is_shown and disclose is not None and "personal_sha256" in header:
        _write_personal(record, gathered, spool, disclose)
    return is_shown


def _write_facts(record: Record, header: dict[str, Json], gathered: Gathered, spool: Spool) -> None:
    if record.facts is not None:
        line = FACTS_BEGIN % record.leaf_index + record.facts + FACTS_END
        spool.add_line("facts.jsonl", line)
        return
    purge = gathered.purges.covering(record.leaf_index, header)
    if purge is not None:
        said: Json = {"leaf_index": record.leaf_index, "purged_by": purge.leaf_index}
        if not gathered.purged:
            spool.open("purged.jsonl")
        spool.add_line("purged.jsonl", facts_json(said))
        gathered.purged.add(record.leaf_index)
        gathered.later.add(purge.leaf_index)
    elif "facts_sha256" in header:
        gathered.missing_facts.append(record.leaf_index)


def _pin(record: Record, header: dict[str, Json], gathered: Gathered) -> None:
    model = header.get("model")
    bundle = str(model.get("bundle")) if isinstance(model, dict) else ""
    gathered.models.setdefault((bundle, str(header.get("policy"))), record.leaf_index)
    facts = parse_json(record.facts or b"{}")
    around = facts.get("surroundings") if isinstance(facts, dict) else None
    pinned = around.get("references") if isinstance(around, dict) else None
    for one in pinned if isinstance(pinned, list) else []:
        if isinstance(one, dict):
            gathered.references.setdefault(str(one.get("digest")), record.leaf_index)


def _write_personal(record: Record, gathered: Gathered, spool: Spool, disclose: Disclose) -> None:
    disclosed = None if record.sealed is None else disclose(record)
    line: dict[str, Json] = {"leaf_index": record.leaf_index}
    if isinstance(disclosed, Disclosed):
        line["salt"] = _base64(disclosed.salt)
        line["identifiers"] = disclosed.identifiers.decode()
        line["plain"] = disclosed.plain.decode()
        gathered.opened.add(record.leaf_index)
    elif disclosed is not None and disclosed.commitment in gathered.erasures:
        place = gathered.erasures[disclosed.commitment]
        line["erased_by"] = place
        gathered.later.add(place)
    else:
        gathered.missing_personal.append(record.leaf_index)
        return
    spool.add_line("personal.jsonl", facts_json(line))


def _write_receipts(reading: Reading, records: Sequence[Record], spool: Spool) -> None:
    if not records:
        return
    sizes = {record.tree_size for record in records}
    notes = dict(reading.checkpoints_between(min(sizes), max(sizes), max(sizes)))
    proofs = prove_inclusion(reading, [(one.leaf_index, one.tree_size) for one in records])
    for record, proof in zip(records, proofs, strict=True):
        receipt = format_receipt(record.leaf_index, proof, notes[record.tree_size])
        line: Json = {"leaf_index": record.leaf_index, "receipt": receipt}
        spool.add_line("receipts.jsonl", facts_json(line))


def _checkpoint_pages(reading: Reading, covered: Covered) -> Iterator[list[tuple[int, str]]]:
    least = max(covered.begin, 1)
    while notes := reading.checkpoints_between(least, covered.end, _CHECKPOINT_PAGE):
        yield notes
        least = notes[-1][0] + 1
    # Behind it the newest, and the first that anybody outside vouched for.
    behind = {covered.head}
    for find in (first_anchored_size, first_cosigned_size):
        size = find(reading, covered.end)
        behind |= set() if size is None else {size}
    for size in sorted(size for size in behind if covered.end < size <= covered.head):
        yield [(size, reading.checkpoint_at(size))]


def _write_stamps(reading: Reading, least: int, most: int, spool: Spool) -> None:
    number, last = 0, 0
    for anchor in anchors_between(reading, least, most, _MOST_STAMPS):
        number = number + 1 if anchor.tree_size == last else 1
        last = anchor.tree_size
        spool.add(f"timestamps/{last}-{number}.tsr", anchor.stamp.reply)


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode("ascii")
