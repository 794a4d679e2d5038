"""Evidence bundles: a zip that proves what was decided, to somebody who has nothing of ours.

`build_evidence` is the main path. A bundle holds every header of a range of the log, so that
nothing can be left out; facts, receipts, amendments, models and tables of the decisions that were
asked for; a signed manifest; and `verify.py`, which checks all of it. Personal parts are opened
only for a reason. Memory is bounded, whatever the range.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from audit.canonical import canonical_json, facts_json
from audit.checkpoint import LogSigner
from audit.records import format_time
from audit.store import Reading, Store
from models.domain import Json
from reports.bundle_extras import (
    ArtefactFolders,
    Extras,
    write_extras,
    write_keys,
    write_orders,
)
from reports.bundle_range import Covered, EvidenceRequest, Selection, choose_range
from reports.bundle_spool import Spool, digest_file, open_spool, pack
from reports.bundle_walk import (
    Disclose,
    Disclosed,
    Gathered,
    KeyGone,
    OnProgress,
    walk_range,
    write_checkpoints,
)
from reports.errors import EvidenceRequestError, EvidenceTooLargeError
from reports.verifier.assembly import assemble_verifier
from reports.verifier.container import MANIFEST, NOTE
from reports.verifier.signatures import STATEMENT
from reports.verifier.statement import FORMAT

__all__ = [
    "ArtefactFolders",
    "Disclosed",
    "Evidence",
    "EvidenceRequest",
    "KeyGone",
    "build_evidence",
]

_README: Final = Path(__file__).with_name("bundle_readme.md")
_FIRST: Final = ["README.md", "verify.py", MANIFEST, NOTE]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was exported.

    Parameters
    ----------
    begin, end, head
        Range of leaf indexes, and the size of the log.
    matched
        Number of decisions asked for that are in it.
    orders
        How many orders were supplied and found; None without a list.
    manifest_sha256, bundle_sha256
        Hexadecimal digests of the manifest and of the zip.
    size_bytes
        Of the zip.
    opened
        Runs of leaf indexes, first and last, of the entries whose personal parts are in it.
    """

    begin: int
    end: int
    head: int
    matched: int
    orders: dict[str, Json] | None
    manifest_sha256: str
    bundle_sha256: str
    size_bytes: int
    opened: list[Json]


def build_evidence(
    store: Store,
    request: EvidenceRequest,
    out: Path,
    *,
    choose_signer: Callable[[Reading], LogSigner],
    folders: ArtefactFolders,
    disclose: Disclose,
    hash_order: Callable[[str], bytes],
    actor: str,
    created_at: datetime,
    most_entries: int | None = None,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Evidence:
    """Write an evidence bundle.

    Parameters
    ----------
    store
        The log.
    request
        What to export.
    out
        The zip file; an existing one is replaced.
    choose_signer
        Returns the log's signer of the moment, who signs the manifest.
    folders
        Where models and tables lie.
    disclose
        Opens a personal part; returns None when it is damaged.
    hash_order
        The look-up hash of an order id, 32 bytes.
    actor
        Who exports.
    created_at
        Aware time.
    most_entries
        Largest range; None for any.
    on_progress
        Called with entries written and entries in all.

    Raises
    ------
    EvidenceRequestError, EvidenceTooLargeError
        When there is nothing such to export, or too much.
    EvidenceWriteError
        When the disk is full or cannot be written.
    StoreUnavailableError, RecordMalformedError
        When the log cannot be read.
    """
    if request.reason is not None and not request.reason.strip():
        raise EvidenceRequestError("personal parts need a reason")
    with open_spool(out.parent) as spool, store.reading() as reading:
        # 1. The range, from checkpoint to checkpoint.
        covered, signer = choose_range(reading, request), choose_signer(reading)
        if most_entries is not None and covered.end - covered.begin > most_entries:
            raise EvidenceTooLargeError(f"the range holds more than {most_entries} entries")
        # 2. Along the log: checkpoints, headers, facts, receipts, opened parts.
        checkpoints = write_checkpoints(reading, covered, spool)
        write_keys(reading, covered, spool)
        opener = None if request.reason is None else disclose
        selection = Selection(request)
        gathered = walk_range(
            reading, covered, selection, spool, disclose=opener, on_progress=on_progress
        )
        if request.decision_ids is not None and gathered.matched != set(request.decision_ids):
            raise EvidenceRequestError("not all of these are decisions of the period and kind")
        # 3. What a reader needs from elsewhere.
        extras = write_extras(reading, covered, gathered, spool, folders)
        orders = write_orders(
            reading,
            request,
            covered,
            spool,
            hash_order=hash_order,
            opened=gathered.opened,
        )
        # 4. The statement of all that, signed.
        _write_fixed(spool, request)
        counts: dict[str, Json] = {
            "by_type": dict(gathered.types),
            "decisions_by_kind": dict(gathered.kinds),
            "matched": len(gathered.matched),
            "related": gathered.related,
            "annex": extras.annex,
            "checkpoints": checkpoints,
            "purged": len(gathered.purged),
        }
        if orders is not None:
            counts["orders"] = orders
        times = _describe_times(reading, covered, created_at)
        manifest = _build_manifest(
            request, covered, signer, actor=actor, gathered=gathered, extras=extras
        )
        document: Json = {**manifest, "counts": counts, "times": times, "files": spool.describe()}
        content = canonical_json(document)
        digest = sha256(content).hexdigest()
        note = signer.sign_statement(STATEMENT, [f"sha256 {digest}"])
        spool.add(MANIFEST, content)
        spool.add(NOTE, note.encode())
        # 5. One file.
        pack(spool, _FIRST, out)
    bundle_sha256, size_bytes = digest_file(out)
    return Evidence(
        begin=covered.begin,
        end=covered.end,
        head=covered.head,
        matched=len(gathered.matched),
        orders=orders,
        manifest_sha256=digest,
        bundle_sha256=bundle_sha256,
        size_bytes=size_bytes,
        opened=gathered.opened.describe(),
    )


def _write_fixed(spool: Spool, request: EvidenceRequest) -> None:
    spool.add("README.md", _README.read_bytes())
    spool.add("verify.py", assemble_verifier())
    if request.decision_ids is not None:
        spool.open("selection.jsonl")
        for decision_id in sorted(set(request.decision_ids)):
            spool.add_line("selection.jsonl", facts_json(decision_id))


def _describe_times(reading: Reading, covered: Covered, created_at: datetime) -> Json:
    first, last = reading.record_at(covered.begin), reading.record_at(covered.end - 1)
    return {
        "created_at": format_time(created_at),
        "first_entry_id": first.entry_id,
        "last_entry_id": last.entry_id,
    }


def _build_manifest(
    request: EvidenceRequest,
    covered: Covered,
    signer: LogSigner,
    *,
    actor: str,
    gathered: Gathered,
    extras: Extras,
) -> dict[str, Json]:
    from_at, to_at = (
        None if moment is None else format_time(moment)
        for moment in (request.from_at, request.to_at)
    )
    missing: Json = {
        "facts": [*gathered.missing_facts, *extras.missing_facts],
        "personal": [*gathered.missing_personal],
        "artefacts": [*extras.missing],
    }
    return {
        "format": FORMAT,
        "origin": signer.origin,
        "key": signer.verifier_key,
        "created_by": actor,
        "period": {"from": from_at, "to": to_at},
        "kind": request.kind,
        "is_selection": request.decision_ids is not None,
        "is_personal": request.reason is not None,
        "reason": request.reason,
        "range": {"begin": covered.begin, "end": covered.end, "head": covered.head},
        "missing": missing,
    }
