"""Files of exports: what a killed process left goes, what another one works on stays."""

from pathlib import Path

import pytest

from audit.errors import StoreUnavailableError
from service.usecases.exported import open_work


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """A folder without its lock is nobody's; one with it belongs to a process that lives."""
    left = tmp_path / ".work-left"
    left.mkdir()
    (left / "personal.jsonl").write_bytes(b"somebody")
    first = open_work(tmp_path)
    assert not left.exists()
    (first.folder / "personal.jsonl").write_bytes(b"somebody else")
    second = open_work(tmp_path)
    assert first.folder.exists()
    second.close()
    assert not second.folder.exists()
    first.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match="no export can be made"):
        open_work(tmp_path / "file" / "exports")
