"""The house keeps its own rules: sizes, documents, no pickle."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "audit", "training", "reports", "service")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
_VAGUE = {"utils", "helpers", "common", "base", "misc", "manager"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_concept(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
    assert path.stem not in _VAGUE


def test_nothing_reads_or_writes_a_pickle() -> None:
    pattern = re.compile(
        r"^\s*(?:import|from)\s+(?:pickle|cloudpickle|joblib|dill|shelve)\b", re.MULTILINE
    )
    assert [path for path in SOURCES if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_each_invariant_names_a_test_that_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    section = text.split("## Invariants")[1].split("## ")[0]
    numbered = re.findall(r"^\d+\. .*$", section, re.MULTILINE)
    assert len(numbered) == 10
    for line in numbered:
        named = re.findall(r"`(tests/[a-z_/]+\.py)`", line)
        assert named, line
        for name in named:
            assert (ROOT / name).is_file(), name


def test_each_decision_record_says_what_enforces_it() -> None:
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert records
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert re.match(r"# \d+\. ", text), record.name
        assert "## Enforced by" in text, record.name
        assert "\n> " in text, record.name


def test_packages_are_mapped_by_their_init() -> None:
    for package in PACKAGES:
        text = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
        assert len(text) > 60, package
