"""Exports that opened personal parts, found by the places of the entries."""

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import RecordMalformedError
from audit.exported import OpenedRuns, find_exports
from audit.log import append
from audit.records import Entry, EntryType
from models.domain import Json
from tests.audit.sample import SEALER, SIGNER, START, open_sample_store


def export(entry_id: str, opened: Json) -> Entry:
    facts: dict[str, Json] = {"opened": opened, "bundle_sha256": f"sha of {entry_id}"}
    return Entry(entry_id, EntryType.EXPORT, START, {}, facts)


def test_exports_are_found_by_what_they_opened(tmp_path: Path) -> None:
    store = open_sample_store(tmp_path)
    entries = [export("x-1", [[0, 2], [7, 7]]), export("x-2", [[3, 6]]), export("x-3", [])]
    append(store, entries, SIGNER, SEALER)
    with store.reading() as reading:
        assert find_exports(reading, []) == []
        assert find_exports(reading, [99]) == []
        assert [one.entry_id for one in find_exports(reading, [7, 99])] == ["x-1"]
        both = find_exports(reading, [2, 3])
    assert [(one.entry_id, one.leaf_index, one.exported_at) for one in both] == [
        ("x-1", 0, START),
        ("x-2", 1, START),
    ]
    assert both[0].bundle_sha256 == "sha of x-1"
    store.close()


@pytest.mark.parametrize("opened", [["x"], [[1]], [[1, "2"]], [[1, 2, 3]]])
def test_facts_in_no_known_form_are_refused(tmp_path: Path, opened: Json) -> None:
    """An export that cannot be read might show the subject, so it is not passed over."""
    store = open_sample_store(tmp_path)
    append(store, [export("x-1", opened)], SIGNER, SEALER)
    with store.reading() as reading, pytest.raises(RecordMalformedError):
        find_exports(reading, [1])
    store.close()


@given(
    rising=st.sets(st.integers(0, 10_000), max_size=200),
    more=st.sets(st.integers(0, 10_000), max_size=50),
    most=st.integers(1, 20),
)
def test_runs_hold_every_index_and_are_few(rising: set[int], more: set[int], most: int) -> None:
    """Whatever is added, in whatever order, is covered, by no more runs than allowed."""
    runs = OpenedRuns(most)
    for leaf_index in sorted(rising):
        runs.add(leaf_index)
    runs.merge(more)
    described = runs.describe()
    pairs = [cast("tuple[int, int]", tuple(one)) for one in described if isinstance(one, list)]
    assert len(pairs) == len(described) <= most
    assert pairs == sorted(pairs)
    places = rising | more
    assert all(any(first <= at <= last for first, last in pairs) for at in places)
    # Both ends of each run are indexes that were added.
    assert {end for pair in pairs for end in pair} <= places
