"""Bundles and policies: content-addressed, checked to the byte, durable."""

import resource
from hashlib import sha256
from pathlib import Path

import pytest

from models.bundle import load_bundle, load_policy, save_bundle, save_policy
from models.errors import BundleCorruptError
from tests.models.examples import bundle, small_kind


def test_a_bundle_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = save_bundle(tmp_path, bundle())
    assert save_bundle(tmp_path, bundle()) == folder
    assert load_bundle(tmp_path, bundle().digest) == bundle()
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]


@pytest.mark.parametrize("name", ["manifest.json", "model.txt", "calibration.json", "kind.json"])
def test_every_byte_counts(tmp_path: Path, name: str) -> None:
    path = save_bundle(tmp_path, bundle()) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleCorruptError):
        load_bundle(tmp_path, bundle().digest)
    path.unlink()
    with pytest.raises(BundleCorruptError, match="cannot be read"):
        load_bundle(tmp_path, bundle().digest)


def test_a_manifest_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    digest = "sha256:" + sha256(b"{}").hexdigest()
    folder = tmp_path / digest.replace(":", "-")
    folder.mkdir()
    (folder / "manifest.json").write_bytes(b"{}")
    with pytest.raises(BundleCorruptError, match="not a bundle"):
        load_bundle(tmp_path, digest)


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A folder in the way of a file fails the save and leaves no half bundle behind."""
    root = tmp_path / "file"
    root.write_text("in the way", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        save_bundle(root, bundle())
    assert list(tmp_path.iterdir()) == [root]


def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path: Path) -> None:
    """A write that fails half way leaves no folder that looks like a bundle."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            save_bundle(tmp_path, bundle())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_policy_comes_back_as_it_was(tmp_path: Path) -> None:
    policy = small_kind().policy
    reference = save_policy(tmp_path, policy)
    assert save_policy(tmp_path, policy) == reference
    assert load_policy(tmp_path, reference.digest) == policy
    (next(tmp_path.iterdir())).write_bytes(b"{}")
    with pytest.raises(BundleCorruptError, match="altered"):
        load_policy(tmp_path, reference.digest)
