"""Folders are made with all that they lie in, once."""

from pathlib import Path

import pytest

from audit.folders import make_folder, sync_folder


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two" / "three"
    for _ in range(2):
        make_folder(folder, mode=0o700)
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "one" / "two").stat().st_mode & 0o777 == 0o755


def test_what_is_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "missing")
