"""The checks of a split's entry find what a writer with every right could have done wrong."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson
import pytest

from audit.canonical import canonical_json, facts_json
from audit.inspection import inspect_entry
from audit.records import Identity, build_header, derive_lookup
from audit.scan import RawEntry
from audit.split_records import build_split_entry
from models.domain import Json
from models.split.columns import unpack
from tests.audit.sample import SEALER, START, seal_entry
from tests.splits import decided

Facts = dict[str, Any]
ENTRY = build_split_entry(
    decided("no-plan"), "CNY", Identity("d-1", START, "O-1", None, "c-1", None, "oms"), b"{}", None
)


def found(edit: Callable[[Facts], None], confidence: float = 1.0) -> list[str]:
    """Return what is found in a split whose hashes all fit, with some facts as they must not be."""
    facts: Facts = orjson.loads(facts_json(dict(ENTRY.facts or {})))
    # As rows, which are read like columns.
    facts["verdict"] = unpack(facts["verdict"])
    edit(facts)
    body, sealed = facts_json(facts), seal_entry(ENTRY)
    header: dict[str, Json] = build_header(ENTRY, sha256(body).hexdigest(), sealed)
    header["confidence"] = confidence
    due = derive_lookup(header, facts, ENTRY.identifiers.hashes(SEALER))
    raw = RawEntry(
        leaf_index=0,
        entry_id="d-1",
        leaf=canonical_json(header),
        leaf_hash=b"",
        tree_size=1,
        has_facts=True,
        facts=body,
        has_personal=True,
        sealed=sealed.content,
        has_lookup=True,
        lookup=(
            *("d-1", due.entry_type, due.kind, due.outcome, int(bool(due.automated))),
            *(due.recorded_at, due.order_hash, due.subject_hash, due.about, due.chain_id),
        ),
        months=(due.recorded_at[:7],) * 3,
    )
    return [finding.code for finding in inspect_entry(raw, SEALER)]


def unchanged(_facts: Facts) -> None:
    """Change nothing."""


def margin(facts: Facts) -> None:
    facts["verdict"]["scores"][1]["attributions"]["margin"] += 1e-6


def no_scores(facts: Facts) -> None:
    facts["verdict"]["scores"] = None


def no_attributions(facts: Facts) -> None:
    facts["verdict"]["scores"] = [1]


def no_verdict(facts: Facts) -> None:
    facts["verdict"] = []


def no_problem(facts: Facts) -> None:
    facts["problem"] = None


def no_lines(facts: Facts) -> None:
    facts["problem"]["lines"] = []


def outcome(facts: Facts) -> None:
    facts["outcome"] = "ship"


def automated(facts: Facts) -> None:
    facts["verdict"]["automated"] = False


@pytest.mark.parametrize(
    ("edit", "codes"),
    [
        (unchanged, []),
        (margin, ["not-additive"]),
        (no_scores, ["not-additive"]),
        (no_attributions, ["not-additive"]),
        (no_verdict, ["not-additive", "conclusion"]),
        (no_problem, ["void"]),
        (no_lines, ["void"]),
        (outcome, ["conclusion"]),
        (automated, ["conclusion"]),
    ],
)
def test_a_wrong_split_is_named(edit: Callable[[Facts], None], codes: list[str]) -> None:
    assert found(edit) == codes


def test_the_headers_confidence_is_the_verdicts() -> None:
    assert found(unchanged, confidence=0.5) == ["conclusion"]
