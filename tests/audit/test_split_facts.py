"""A split's facts come back as they were, and what is not a split's facts is refused."""

import orjson
import pytest

from audit.canonical import facts_json
from audit.errors import RecordMalformedError
from audit.split_facts import build_split_facts, is_split, parse_split
from tests.splits import EXAMPLES, decided

NONCE = bytes(range(32))


def stored(name: str) -> bytes:
    return facts_json(build_split_facts(decided(name), "CNY", "oms", NONCE))


@pytest.mark.parametrize("name", EXAMPLES)
def test_facts_round_trip(name: str) -> None:
    """Problem, verdict and versions are read back equal, to the last bit."""
    decision, split = decided(name), parse_split(stored(name))
    assert split.problem == decision.problem
    assert split.verdict == decision.verdict
    versions = split.versions
    assert (versions.model, versions.policy) == (decision.model, decision.policy)
    assert (versions.kind, versions.currency, versions.caller) == ("split", "CNY", "oms")
    assert versions.runtime == decision.runtime
    assert versions.timings_ms == decision.timings_ms


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_searched_by_is_the_verdicts(name: str) -> None:
    facts, verdict = orjson.loads(stored(name)), decided(name).verdict
    assert facts["form"] == "split"
    assert facts["outcome"] == verdict.outcome
    assert facts["automated"] is verdict.automated
    assert facts["confidence"] == verdict.confidence
    assert facts["summary"]["zh"] == verdict.summary.text.zh


def test_facts_hold_nothing_personal() -> None:
    facts = stored("two-parcels").decode()
    for private in ("TM-20260301-004410", "C-20871", "周琳", "138 0000", "玄武区"):
        assert private not in facts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"form": "model"}, "not a split's"),
        ({"version": 1}, "not a split's"),
        ({"runtime": None}, "runtime"),
        ({"problem": None}, "does not hold a split"),
        ({"verdict": {}}, "outcome"),
    ],
)
def test_other_facts_are_refused(change: dict[str, object], said: str) -> None:
    facts = orjson.loads(stored("no-plan")) | change
    with pytest.raises(RecordMalformedError, match=said):
        parse_split(orjson.dumps(facts))


def test_bytes_that_are_no_object_are_no_split() -> None:
    assert not is_split([])
    with pytest.raises(RecordMalformedError, match="not a split's"):
        parse_split(b"null")
