"""A split policy comes back from disk by its digest, or not at all."""

from pathlib import Path

import pytest

from models.bundle import save_policy
from models.errors import BundleCorruptError
from models.split.errors import SplitPolicyError
from models.split.policy import built_in_split_policy
from models.split.policy_store import load_split_policy, save_split_policy
from models.split.request import split_kind


def test_a_policy_comes_back_by_its_digest(tmp_path: Path) -> None:
    policy = built_in_split_policy()
    reference = save_split_policy(tmp_path, policy)
    assert (reference.name, reference.version) == (policy.name, policy.version)
    assert load_split_policy(tmp_path, reference.digest) == policy
    assert save_split_policy(tmp_path, policy) == reference
    dearer = policy.model_copy(update={"late_penalty_cents": policy.late_penalty_cents + 1})
    assert save_split_policy(tmp_path, dearer).digest != reference.digest


def test_an_altered_or_missing_policy_is_refused(tmp_path: Path) -> None:
    reference = save_split_policy(tmp_path, built_in_split_policy())
    with pytest.raises(BundleCorruptError, match="cannot be read"):
        load_split_policy(tmp_path, "sha256:00")
    [file] = tmp_path.glob("*.json")
    file.write_bytes(file.read_bytes().replace(b"20000", b"20001"))
    with pytest.raises(BundleCorruptError, match="altered"):
        load_split_policy(tmp_path, reference.digest)


def test_a_policy_of_another_form_is_refused(tmp_path: Path) -> None:
    rules = save_policy(tmp_path, split_kind().policy)
    with pytest.raises(SplitPolicyError, match="not a split policy"):
        load_split_policy(tmp_path, rules.digest)
