"""Queries find what was recorded, newest first, page by page."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from audit.checkpoint import parse_checkpoint
from audit.errors import RecordNotFoundError, SearchInvalidError
from audit.log import append
from audit.merkle import extend, leaf_hash
from audit.records import EntryType
from audit.store import Search, Store
from tests.audit.sample import (
    SEALER,
    SIGNER,
    START,
    make_decision_entry,
    make_override_entry,
    make_publication_entry,
    open_sample_store,
)
from tests.databases import SampleDatabase

pytestmark = [pytest.mark.both_databases, pytest.mark.pooled]


@pytest.fixture(scope="module")
def store(make_database: Callable[[], SampleDatabase]) -> Iterator[Store]:
    store = make_database().open()
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    append(store, [make_decision_entry(n) for n in range(20)], SIGNER, SEALER)
    append(store, [make_override_entry(n, f"d-{n % 2}") for n in range(3)], SIGNER, SEALER)
    append(store, [make_publication_entry(1)], SIGNER, SEALER)
    yield store
    store.close()


def ids(store: Store, search: Search) -> list[str]:
    with store.reading() as reading:
        return [found.entry_id for found in reading.search(search)]


def test_a_record_is_found_by_id_and_by_place(store: Store) -> None:
    with store.reading() as reading:
        record = reading.record("d-4")
        assert reading.record_at(record.leaf_index) == record
        assert (record.leaf_index, record.tree_size) == (5, 21)
        assert record.facts is not None
        assert record.sealed is not None
        assert reading.record("p-0").facts is None
        for leaf_index in (-1, 25):
            with pytest.raises(RecordNotFoundError):
                reading.record_at(leaf_index)
        with pytest.raises(RecordNotFoundError):
            reading.record("d-99")


def test_entries_about_another_come_oldest_first(store: Store) -> None:
    with store.reading() as reading:
        assert [record.entry_id for record in reading.records_about("d-0")] == ["v-0", "v-2"]
        assert reading.records_about("d-7") == []


def test_the_latest_of_a_type_come_newest_first(store: Store) -> None:
    with store.reading() as reading:
        latest = reading.latest(EntryType.PUBLICATION, 5)
        assert [record.entry_id for record in latest] == ["p-1", "p-0"]
        assert reading.latest(EntryType.PUBLICATION) == latest[:1]
        assert reading.latest(EntryType.EXPORT) == []


def test_a_search_narrows_by_each_field(store: Store) -> None:
    decisions = [f"d-{number}" for number in reversed(range(20))]
    assert ids(store, Search(entry_type="decision", limit=100)) == decisions
    assert ids(store, Search(entry_type="decision", kind="risk")) == []
    assert ids(store, Search(outcome="accept")) == ["v-2", "v-1", "v-0"]
    assert ids(store, Search(automated=True, limit=1)) == ["d-19"]
    assert ids(store, Search(automated=False)) == []
    assert ids(store, Search(chain_id="c-3")) == ["d-7", "d-6"]
    assert ids(store, Search(about="d-1")) == ["v-1"]
    assert ids(store, Search(order_hash=SEALER.keyed_hash("order", "o-3"))) == ["d-3"]
    subject = Search(subject_hash=SEALER.keyed_hash("subject", "s-2"))
    assert ids(store, subject) == ["d-17", "d-7", "d-2"]
    between = Search(
        entry_type="decision",
        from_at=START + timedelta(seconds=5),
        to_at=START + timedelta(seconds=7),
    )
    assert ids(store, between) == ["d-6", "d-5"]


def test_pages_follow_each_other_without_gap(store: Store) -> None:
    """A cursor goes on exactly behind the page before."""
    everything = ids(store, Search(limit=1000))
    collected: list[str] = []
    cursor: int | None = None
    while True:
        with store.reading() as reading:
            page = reading.search(Search(cursor=cursor, limit=4))
        if not page:
            break
        collected += [found.entry_id for found in page]
        cursor = page[-1].leaf_index
    assert collected == everything
    assert len(everything) == 25


def test_what_is_found_says_what_it_is(store: Store) -> None:
    with store.reading() as reading:
        (found,) = reading.search(Search(chain_id="c-3", limit=1))
        (override,) = reading.search(Search(about="d-1"))
    assert (found.kind, found.outcome, found.automated) == ("admission", "reject", True)
    assert found.recorded_at == START + timedelta(seconds=7)
    assert (override.automated, override.about) == (None, "d-1")


@pytest.mark.parametrize(
    "search",
    [
        Search(limit=0),
        Search(limit=1001),
        Search(from_at=START.replace(tzinfo=None)),
        Search(to_at=START.replace(tzinfo=None)),
    ],
)
def test_a_senseless_search_is_refused(store: Store, search: Search) -> None:
    with store.reading() as reading, pytest.raises(SearchInvalidError):
        reading.search(search)


def test_events_come_oldest_first_behind_a_place(store: Store) -> None:
    with store.reading() as reading:
        types = [EntryType.OVERRIDE, EntryType.PUBLICATION]
        assert [found.entry_id for found in reading.found_after(-1, types, 2)] == ["p-0", "v-0"]
        assert [found.entry_id for found in reading.found_after(22, types)] == ["v-2", "p-1"]


def test_checkpoints_are_found_by_size_and_by_leaf(store: Store) -> None:
    with store.reading() as reading:
        assert parse_checkpoint(reading.checkpoint_covering(0)).tree_size == 1
        assert parse_checkpoint(reading.checkpoint_covering(1)).tree_size == 21
        assert parse_checkpoint(reading.checkpoint_at(24)).tree_size == 24
        head = reading.head()
        assert head is not None
        assert parse_checkpoint(head).tree_size == reading.tree_size() == 25
        for missing in (reading.checkpoint_at, reading.checkpoint_covering):
            with pytest.raises(RecordNotFoundError):
                missing(26)


def test_nodes_are_those_of_the_tree(store: Store) -> None:
    with store.reading() as reading:
        nodes = extend(0, [leaf_hash(leaf) for leaf in reading.leaves(0, 25)], {})
        assert reading.nodes(nodes) == nodes
        assert reading.nodes([(3, 0), (9, 9), (0, 77)]) == {(3, 0): nodes[(3, 0)]}
        assert reading.nodes([]) == {}


def test_node_reads_use_the_key(tmp_path: Path) -> None:
    """Reading nodes searches by key and never scans the table."""
    store = open_sample_store(tmp_path)
    with store.raw() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT hash FROM tree_node "
            "WHERE (level, node_index) IN (VALUES (1, 2), (3, 4))"
        ).fetchall()
    assert any("SEARCH tree_node USING PRIMARY KEY" in row[3] for row in plan)
    store.close()
