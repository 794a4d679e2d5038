"""Another verifier that others wrote (metamorphic-log, Rust) says the same of our proofs."""

from collections.abc import Callable
from pathlib import Path

import metamorphic_log
import pytest

from audit.merkle import leaf_hash
from tests.independent.cases import Case, altered_cases, whole_cases

ALTERED = 200


def check(case: Case) -> None:
    keys, proof = [case.key], list(case.proof)
    if case.old:
        metamorphic_log.checkpoint_verify_consistency(case.old, case.note, keys, proof)
    else:
        digest = leaf_hash(case.leaf)
        metamorphic_log.checkpoint_verify_inclusion(case.note, keys, case.index, digest, proof)


def refuses(check_one: Callable[[Case], None], case: Case) -> bool:
    try:
        check_one(case)
    except metamorphic_log.VerifyError:
        return True
    return False


def test_it_accepts_what_we_answered(tmp_path: Path) -> None:
    """Each inclusion proof as answered, and consistency between all checkpoints."""
    for case in whole_cases(tmp_path):
        check(case)


def test_it_refuses_what_was_altered(tmp_path: Path) -> None:
    """Two hundred alterations of twelve sorts; each is refused."""
    cases = [
        case for case in altered_cases(whole_cases(tmp_path), ALTERED, seed=6) if case.index >= 0
    ]
    assert [case.name for case in cases if not refuses(check, case)] == []
    assert len(cases) > ALTERED / 2


def test_it_reads_our_checkpoints(tmp_path: Path) -> None:
    case = whole_cases(tmp_path)[0]
    head = metamorphic_log.checkpoint_verify(case.note, [case.key])
    assert (head.origin, head.size, len(head.root)) == ("candor.example/log", 1, 32)
    with pytest.raises(metamorphic_log.VerifyError):
        metamorphic_log.checkpoint_verify(case.note[:-2], [case.key])
