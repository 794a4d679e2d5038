"""Times of the log never run backwards, and a clock that does is told in the record."""

from dataclasses import replace
from datetime import datetime, timedelta

import orjson
import pytest

from audit.clock import read_last_time
from audit.errors import LogDamagedError
from audit.log import Appended, append
from audit.records import Entry, format_time
from audit.store import Search, Store
from audit.verify import verify_store
from tests.audit.sample import (
    SEALER,
    SIGNER,
    START,
    VKEY,
    make_decision_entry,
    make_publication_entry,
)
from tests.databases import SampleDatabase


def at(entry: Entry, moment: datetime) -> Entry:
    return replace(entry, recorded_at=moment)


@pytest.mark.both_databases
def test_a_clock_that_steps_back_moves_no_record_back(database: SampleDatabase) -> None:
    """Also within a batch and in an entry's rest; a large step is in the header beside it."""
    store = database.open()
    late, early = START + timedelta(hours=1), START + timedelta(minutes=1)
    close = late - timedelta(milliseconds=3)
    append(store, [at(make_publication_entry(0), START)], SIGNER, SEALER)
    rest = (at(make_publication_entry(2), early), at(make_publication_entry(3), late))
    batch = [
        at(make_publication_entry(1), late),
        replace(at(make_decision_entry(1), close), rest=rest),
        at(make_decision_entry(2, key="k"), early),
    ]
    answers = append(store, batch, SIGNER, SEALER)
    [again] = append(store, [at(make_decision_entry(2, key="k"), early)], SIGNER, SEALER)
    assert isinstance(again, Appended)
    assert isinstance(answers[2], Appended)
    assert again.leaf == answers[2].leaf
    with store.reading() as reading:
        headers = [orjson.loads(leaf) for leaf in reading.leaves(0, 6)]
        assert len(reading.search(Search(from_at=late))) == 5
        assert read_last_time(reading, 6) == late
        assert read_last_time(reading, 0) is None
    times = [format_time(START), *[format_time(late)] * 5]
    assert [header["recorded_at"] for header in headers] == times
    said = [header.get("clock_at") for header in headers]
    assert said == [None, None, None, format_time(early), None, format_time(early)]
    assert verify_store(store, [VKEY], SEALER).ok
    store.close()


@pytest.mark.parametrize("leaf", [b"[]", b"{}", b"nonsense", b'{"recorded_at":"soon"}'])
def test_a_last_entry_without_a_time_is_not_built_upon(
    database: SampleDatabase, leaf: bytes
) -> None:
    store: Store = database.open()
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    database.overwrite("log_entry", "leaf", lambda _old: leaf)
    with pytest.raises(LogDamagedError, match="says no time"):
        append(store, [make_publication_entry(1)], SIGNER, SEALER)
    store.close()
