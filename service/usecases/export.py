"""Exporting evidence: the bundle is written, its entry recorded, and only then may it be had.

Each export is an entry of the log that names who, what and the digest; a reason is sealed in it,
because people write names into reasons.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from audit.canonical import facts_json
from audit.errors import ErasedError, SealBrokenError, SubjectKeyMissingError
from audit.opening import commit_key
from audit.records import Entry, EntryType, format_time
from audit.store import Record
from models.domain import Json
from reports.bundle_walk import OnProgress
from reports.errors import EvidenceWriteError
from reports.evidence import (
    ArtefactFolders,
    Disclosed,
    Evidence,
    EvidenceRequest,
    KeyGone,
    build_evidence,
)
from service.answers import JsonObject
from service.usecases.records import build_nonce, new_id
from service.wiring import Platform


def export_evidence(
    platform: Platform,
    request: EvidenceRequest,
    out: Path,
    *,
    actor: str,
    most_entries: int | None = None,
    staging_folder: Path | None = None,
    on_progress: OnProgress = lambda _done, _total: None,
) -> JsonObject:
    """Write an evidence bundle and record that it was exported.

    Parameters
    ----------
    request
        What to export; times without a zone are UTC.
    out
        The zip file; it appears whole, after its entry is durable.
    actor
        Id of the API key, or the command line.
    most_entries
        Largest range; None for any.
    staging_folder
        Where the file is made, on the disk of `out`; None makes it beside `out`.
    on_progress
        Called with entries written and entries in all.

    Returns
    -------
    JsonObject
        The range, counts, digests, and the place of the entry.

    Raises
    ------
    EvidenceRequestError, EvidenceTooLargeError
        When there is nothing such to export, or too much.
    EvidenceWriteError
        When the file cannot be written.
    StoreUnavailableError, OverloadedError, DeadlineError
        When the export was not recorded; there is no bundle then.
    """
    request = replace(request, from_at=_aware(request.from_at), to_at=_aware(request.to_at))
    settings = platform.settings
    staging = (staging_folder or out.parent) / f".{out.name}.{new_id()}.part"
    try:
        evidence = build_evidence(
            platform.store,
            request,
            staging,
            choose_signer=platform.notary.keyring.present,
            folders=ArtefactFolders(
                settings.bundles, settings.policies, settings.references, settings.kinds
            ),
            disclose=lambda record: _disclose(platform, record),
            hash_order=lambda order_id: platform.sealer.keyed_hash("order", order_id),
            actor=actor,
            created_at=platform.now(),
            most_entries=most_entries,
            on_progress=on_progress,
        )
        appended = platform.writer.record_one(_entry(platform, request, evidence, actor))
        staging.replace(out)
    except OSError as error:
        raise EvidenceWriteError(f"{out.name} could not be written: {error.strerror}") from error
    finally:
        staging.unlink(missing_ok=True)
    return {
        "begin": evidence.begin,
        "end": evidence.end,
        "head": evidence.head,
        "decisions": evidence.matched,
        "orders": evidence.orders,
        "is_personal": request.reason is not None,
        "bytes": evidence.size_bytes,
        "sha256": evidence.bundle_sha256,
        "manifest_sha256": evidence.manifest_sha256,
        "entry_id": appended.entry_id,
        "leaf_index": appended.leaf_index,
    }


def _disclose(platform: Platform, record: Record) -> Disclosed | KeyGone | None:
    sealer, sealed = platform.sealer, record.sealed or b""
    try:
        part = sealer.open_part(record.entry_id, sealed)
    except (ErasedError, SubjectKeyMissingError):
        return KeyGone(commit_key(sealer.key_id(sealed)))
    except SealBrokenError:
        # Listed in the manifest as not available; `verify.py` does not take that for an answer.
        return None
    return Disclosed(part.salt, part.identifiers, part.plaintext)


def _entry(platform: Platform, request: EvidenceRequest, evidence: Evidence, actor: str) -> Entry:
    times = (request.from_at, request.to_at)
    from_at, to_at = (None if at is None else format_time(at) for at in times)
    decisions, orders = request.decision_ids, request.order_ids
    asked: dict[str, Json] = {
        "from": from_at,
        "to": to_at,
        "kind": request.kind,
        "decisions": None if decisions is None else len(decisions),
        "orders": None if orders is None else len(orders),
        "personal": request.reason is not None,
    }
    sealed: dict[str, Json] = {"reason": request.reason}
    return Entry(
        entry_id=new_id(),
        entry_type=EntryType.EXPORT,
        recorded_at=platform.now(),
        header={},
        facts={
            **build_nonce(),
            "actor": actor,
            "asked": asked,
            "range": {"begin": evidence.begin, "end": evidence.end, "head": evidence.head},
            "decisions": evidence.matched,
            # Whose personal parts left: an erasure names the exports by it (docs/erasure.md).
            "opened": evidence.opened,
            "manifest_sha256": evidence.manifest_sha256,
            "bundle_sha256": evidence.bundle_sha256,
            "bytes": evidence.size_bytes,
        },
        personal=None if request.reason is None else facts_json(sealed),
    )


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
