"""Exports are as long as the log, and memory is not."""

import tracemalloc
from pathlib import Path

import pytest

from audit.log import append
from audit.store import Record
from reports.bundle_walk import Disclosed
from reports.evidence import ArtefactFolders, EvidenceRequest, build_evidence
from reports.verifier.command import verify_bundle
from tests.audit.sample import (
    SEALER,
    SIGNER,
    START,
    VKEY,
    make_decision_entry,
    open_sample_store,
)

_BATCH = 250


def _disclose(record: Record) -> Disclosed:
    part = SEALER.open_part(record.entry_id, record.sealed or b"")
    return Disclosed(part.salt, part.identifiers, part.plaintext)


def peak_bytes(folder: Path, batches: int) -> tuple[int, int]:
    """Return the largest memory that exporting and that checking so many entries took."""
    store = open_sample_store(folder)
    for batch in range(batches):
        numbers = range(batch * _BATCH, (batch + 1) * _BATCH)
        append(store, [make_decision_entry(number) for number in numbers], SIGNER, SEALER)
    out = folder / "all.zip"
    tracemalloc.start()
    build_evidence(
        store,
        EvidenceRequest(),
        out,
        choose_signer=lambda _reading: SIGNER,
        folders=ArtefactFolders(folder, folder, folder, folder),
        disclose=_disclose,
        hash_order=lambda order_id: SEALER.keyed_hash("order", order_id),
        actor="test",
        created_at=START,
    )
    _, exporting = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    findings = verify_bundle(out, [VKEY])
    _, checking = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    store.close()
    assert findings.exit_code() == 0, findings.verdicts
    return exporting, checking


@pytest.mark.slow
def test_memory_grows_by_the_ids_only(tmp_path: Path) -> None:
    """Twice the entries take some hundred bytes more for each, not their several kilobytes."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    few, many = peak_bytes(small, 5), peak_bytes(large, 10)
    for before, after in zip(few, many, strict=True):
        assert after - before < 5 * _BATCH * 500, (few, many)
