"""Folders for files in the making: whatever a killed process left goes, another's stays."""

from pathlib import Path

from audit.staging import clear_staging, staging_folder


def test_what_was_left_goes_and_what_is_at_work_stays(tmp_path: Path) -> None:
    clear_staging(tmp_path / "none")
    root = tmp_path / "root"
    with staging_folder(root) as folder:
        (folder / "file").write_bytes(b"x")
        left = root / ".archive-left"
        left.mkdir()
        (left / "file").write_bytes(b"x")
        clear_staging(root)
        assert list(root.iterdir()) == [folder]
        assert (folder / "file").exists()
    assert list(root.iterdir()) == []
