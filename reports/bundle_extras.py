"""What a reader needs beside the range: entries elsewhere in the log, models, tables, orders."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from audit.canonical import facts_json, parse_json
from audit.exported import OpenedRuns
from audit.receipt import format_receipt
from audit.records import EntryType
from audit.rotation import read_key_changes
from audit.store import Found, Reading, Search
from models.content_store import content_digest, load_content
from models.domain import Json
from models.errors import BundleCorruptError
from reports.bundle_range import Covered, EvidenceRequest, Selection
from reports.bundle_spool import Spool
from reports.bundle_walk import Gathered, prove_inclusion, read_header_fields

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class ArtefactFolders:
    """Where models and tables lie, each under its digest."""

    bundles: Path
    policies: Path
    references: Path
    kinds: Path


@dataclass(frozen=True, slots=True)
class Extras:
    """What was written, and what was not there any more."""

    annex: int
    missing_facts: list[int]
    missing: list[str]


def write_extras(
    reading: Reading,
    covered: Covered,
    gathered: Gathered,
    spool: Spool,
    folders: ArtefactFolders,
) -> Extras:
    """Write models and tables, the entries that brought them into force, and later amendments."""
    missing: list[str] = []
    wanted = set(gathered.later)
    published = dict(_entries_in_force(reading, EntryType.PUBLICATION, covered.head))
    loaded = dict(_entries_in_force(reading, EntryType.REFERENCE, covered.head))
    uses = [
        *((f"publication {b} {p}", first) for (b, p), first in gathered.models.items()),
        *((f"reference {digest}", first) for digest, first in gathered.references.items()),
    ]
    for name, first in uses:
        places = published.get(name) or loaded.get(name) or []
        before = [place for place in places if place < first] or places
        if not before:
            missing.append(name)
        wanted.update(before[-1:])
    outside = sorted(index for index in wanted if not covered.begin <= index < covered.end)
    missing_facts = _write_annex(reading, covered, outside, spool)
    missing += _write_artefacts(gathered, spool, folders)
    return Extras(len(outside), missing_facts, sorted(missing))


def write_orders(
    reading: Reading,
    request: EvidenceRequest,
    covered: Covered,
    spool: Spool,
    *,
    hash_order: Callable[[str], bytes],
    opened: OpenedRuns,
) -> dict[str, Json] | None:
    """Write, for each order that was supplied, which decisions asked for are about it.

    Order ids themselves stand in the bundle only when personal parts do. Then the bundle shows
    something of every decision of these orders, asked for or not: `opened` gets their places.

    Returns
    -------
    dict
        How many were supplied and found; None when no list was.
    """
    if request.order_ids is None:
        return None
    selection, found = Selection(request), 0
    named: set[int] = set()
    spool.open("orders.jsonl")
    for row, order_id in enumerate(request.order_ids, start=1):
        decisions = list(_find_order(reading, hash_order(order_id)))
        places = sorted(
            one.leaf_index
            for one in decisions
            if selection.finds(one) and covered.begin <= one.leaf_index < covered.end
        )
        line: dict[str, Json] = {"row": row, "leaf_indexes": [*places]}
        if request.reason is not None:
            line["order_id"] = order_id
            named.update(one.leaf_index for one in decisions)
        spool.add_line("orders.jsonl", facts_json(line))
        found += bool(places)
    opened.merge(named)
    return {"supplied": len(request.order_ids), "found": found}


def write_keys(reading: Reading, covered: Covered, spool: Spool) -> None:
    """Write the entries that changed the log's key; no file when it was never changed."""
    for change in read_key_changes(reading):
        record = reading.record_at(change.leaf_index)
        places = [(record.leaf_index, record.tree_size), (record.leaf_index, covered.head)]
        first, newest = prove_inclusion(reading, places)
        note = reading.checkpoint_at(record.tree_size)
        line: Json = {
            "leaf_index": record.leaf_index,
            "header": record.leaf.decode(),
            "receipt": format_receipt(record.leaf_index, first, note),
            "proof": [b64encode(digest).decode("ascii") for digest in newest],
        }
        spool.add_line("keys.jsonl", facts_json(line))


def _find_order(reading: Reading, order_hash: bytes) -> Iterator[Found]:
    search = Search(entry_type=EntryType.DECISION, order_hash=order_hash, limit=_PAGE)
    while True:
        page = reading.search(search)
        yield from page
        if len(page) < _PAGE:
            return
        search = replace(search, cursor=page[-1].leaf_index)


def _entries_in_force(
    reading: Reading, entry_type: EntryType, head: int
) -> Iterator[tuple[str, list[int]]]:
    places: dict[str, list[int]] = {}
    after = -1
    while page := reading.found_after(after, [entry_type], _PAGE):
        for found in page:
            record = reading.record_at(found.leaf_index)
            if record.leaf_index < head:
                name = _name_in_force(entry_type, record.leaf, record.facts)
                places.setdefault(name, []).append(record.leaf_index)
        after = page[-1].leaf_index
    yield from places.items()


def _name_in_force(entry_type: EntryType, leaf: bytes, facts: bytes | None) -> str:
    if entry_type is EntryType.PUBLICATION:
        header = read_header_fields(leaf)
        model = header.get("model")
        bundle = model.get("bundle") if isinstance(model, dict) else None
        return f"publication {bundle} {header.get('policy')}"
    said = parse_json(facts or b"{}")
    return f"reference {said.get('digest') if isinstance(said, dict) else None}"


def _write_annex(reading: Reading, covered: Covered, indexes: list[int], spool: Spool) -> list[int]:
    missing = []
    spool.open("annex.jsonl")
    for begin in range(0, len(indexes), _PAGE):
        some = indexes[begin : begin + _PAGE]
        proofs = prove_inclusion(reading, [(index, covered.head) for index in some])
        for index, proof in zip(some, proofs, strict=True):
            record = reading.record_at(index)
            if record.facts is None and "facts_sha256" in read_header_fields(record.leaf):
                missing.append(index)
            line: Json = {
                "leaf_index": index,
                "header": record.leaf.decode(),
                "facts": None if record.facts is None else record.facts.decode(),
                "proof": [b64encode(digest).decode("ascii") for digest in proof],
            }
            spool.add_line("annex.jsonl", facts_json(line))
    return missing


def _write_artefacts(gathered: Gathered, spool: Spool, folders: ArtefactFolders) -> list[str]:
    missing = []
    for bundle in sorted({bundle for bundle, _ in gathered.models}):
        files = _read_bundle(folders.bundles, bundle)
        place = bundle.replace(":", "-")
        for name, content in (files or {}).items():
            spool.add(f"bundles/{place}/{name}", content)
        if files is None and not _copy(spool, "kinds", folders.kinds, bundle):
            missing.append(f"bundles/{place}/manifest.json")
    documents = [
        *(("policies", folders.policies, digest) for digest in {p for _, p in gathered.models}),
        *(("references", folders.references, digest) for digest in gathered.references),
    ]
    missing += [
        _place(name, digest)
        for name, root, digest in documents
        if not _copy(spool, name, root, digest)
    ]
    return missing


def _read_bundle(root: Path, digest: str) -> dict[str, bytes] | None:
    # As it lies there, but only when every byte is what the digest says: otherwise it is missing.
    folder = root / digest.replace(":", "-")
    try:
        manifest = (folder / "manifest.json").read_bytes()
        said = parse_json(manifest) if content_digest(manifest) == digest else None
        named = said.get("files") if isinstance(said, dict) else None
        if not isinstance(named, dict):
            return None
        files = {name: (folder / name).read_bytes() for name in named}
    except OSError:
        return None
    whole = all(f"sha256:{sha256(files[name]).hexdigest()}" == named[name] for name in named)
    return {**files, "manifest.json": manifest} if whole else None


def _copy(spool: Spool, folder: str, root: Path, digest: str) -> bool:
    try:
        spool.add(_place(folder, digest), load_content(root, digest))
    except BundleCorruptError:
        return False
    return True


def _place(folder: str, digest: str) -> str:
    return f"{folder}/{digest.replace(':', '-')}.json"
