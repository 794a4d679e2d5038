"""The command of the verifier, in process: exit codes, both forms of its verdict, parts gone."""

from pathlib import Path

import orjson
import pytest

from audit.log import append
from audit.store import Store
from reports.evidence import ArtefactFolders, EvidenceRequest, build_evidence
from reports.verifier.command import main
from tests.audit.sample import (
    OTHER_SIGNER,
    SEALER,
    SIGNER,
    START,
    VKEY,
    make_decision_entry,
    make_override_entry,
    open_sample_store,
)


def export(store: Store, folder: Path, *, reason: str | None = None) -> str:
    """Export everything; no model is at hand and no personal part opens."""
    out = folder / "bundle.zip"
    build_evidence(
        store,
        EvidenceRequest(reason=reason),
        out,
        choose_signer=lambda _reading: SIGNER,
        folders=ArtefactFolders(folder, folder, folder, folder),
        disclose=lambda _record: None,
        hash_order=lambda order_id: SEALER.keyed_hash("order", order_id),
        actor="test",
        created_at=START,
    )
    return str(out)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_sample_store(tmp_path)
    entries = [*(make_decision_entry(number) for number in range(3)), make_override_entry(1, "d-1")]
    append(opened, entries, SIGNER, SEALER)
    return opened


def test_exit_codes_and_both_forms(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = export(store, tmp_path)
    store.close()
    assert main([path, "--key", VKEY]) == 0
    assert "signed by the log of the given key" in capsys.readouterr().out
    assert main([path]) == 3
    assert "signer not authenticated" in capsys.readouterr().out
    assert main([path, "--key", OTHER_SIGNER.verifier_key, "--json"]) == 1
    told = orjson.loads(capsys.readouterr().out)
    assert {one["code"] for one in told["problems"]} == {"manifest", "checkpoints"}
    assert main([path, "--key", OTHER_SIGNER.verifier_key]) == 1
    assert "FAIL" in capsys.readouterr().out
    # Either of two keys will do, as after a change of keys.
    assert main([path, "--key", OTHER_SIGNER.verifier_key, "--key", VKEY]) == 0
    with pytest.raises(SystemExit) as refused:
        main([str(tmp_path / "nothing.zip")])
    assert refused.value.code == 2


def test_parts_that_are_gone_are_told(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Facts that were removed are told; personal parts that nobody erased are not excused."""
    with store.writing() as writing:
        writing._connection.exec_driver_sql("DROP TRIGGER facts_part_no_delete")
        writing._connection.exec_driver_sql("DELETE FROM facts_part WHERE leaf_index IN (1, 3)")
    path = export(store, tmp_path, reason="audit")
    store.close()
    assert main([path, "--key", VKEY, "--json"]) == 1
    steps = {one["step"]: one for one in orjson.loads(capsys.readouterr().out)["steps"]}
    assert steps["facts"]["notes"][0]["en"].startswith("2 were gone")
    assert [name for name, one in steps.items() if not one["ok"]] == ["personal"]
    assert steps["artefacts"]["notes"]
