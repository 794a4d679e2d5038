"""The writer: bounded, durable before answered, one failure never fails the innocent."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from audit.errors import (
    EntryExistsError,
    IdempotencyConflictError,
    StoreUnavailableError,
)
from audit.log import Appended
from audit.records import Entry, EntryType
from service.batching import Append, Writer
from service.errors import DeadlineError, OverloadedError


def entry(name: str) -> Entry:
    return Entry(name, EntryType.ACCESS, datetime(2026, 1, 1, tzinfo=UTC), {})


def appended(one: Entry) -> Appended:
    return Appended(0, 1, one.entry_id, b"", None, "", repeated=False)


def append_all(entries: Sequence[Entry]) -> list[Appended | IdempotencyConflictError]:
    return [appended(one) for one in entries]


@contextmanager
def writer(
    append: Append, *, queue: int = 8, commit: int = 8, deadline: float = 5.0
) -> Iterator[Writer]:
    made = Writer(
        append,
        commit_max_entries=commit,
        queue_max_entries=queue,
        deadline_seconds=deadline,
        on_commit=lambda _size: None,
    )
    made.start()
    try:
        yield made
    finally:
        made.close()


class Gate:
    """An append that waits until it is opened, and remembers its batches."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.batches: list[int] = []

    def append(self, entries: Sequence[Entry]) -> list[Appended | IdempotencyConflictError]:
        self.batches.append(len(entries))
        self.entered.set()
        self.open.wait()
        return append_all(entries)


def in_thread(work: Writer, name: str, results: list[object]) -> threading.Thread:
    def run() -> None:
        try:
            results.append(work.record_one(entry(name)))
        except (OverloadedError, DeadlineError) as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for_depth(work: Writer, depth: int) -> None:
    ticks = threading.Event()
    while work.depth != depth:
        ticks.wait(0.001)


def test_entries_that_wait_together_are_committed_together() -> None:
    gate, results = Gate(), list[object]()
    with writer(gate.append) as work:
        threads = [in_thread(work, "first", results)]
        gate.entered.wait()
        threads += [in_thread(work, str(number), results) for number in range(5)]
        wait_for_depth(work, 5)
        gate.open.set()
        for thread in threads:
            thread.join()
    assert gate.batches == [1, 5]
    assert len(results) == 6


def test_a_full_queue_refuses_at_once() -> None:
    gate, results = Gate(), list[object]()
    with writer(gate.append, queue=1) as work:
        threads = [in_thread(work, "taken", results)]
        gate.entered.wait()
        threads.append(in_thread(work, "waits", results))
        wait_for_depth(work, 1)
        with pytest.raises(OverloadedError):
            work.record_one(entry("too many"))
        gate.open.set()
        for thread in threads:
            thread.join()
    assert len(results) == 2


def test_a_batch_waits_for_room_and_gives_up_at_the_deadline() -> None:
    gate, results = Gate(), list[object]()
    with writer(gate.append, queue=1, deadline=0.2) as work:
        threads = [in_thread(work, "taken", results)]
        gate.entered.wait()
        threads.append(in_thread(work, "waits", results))
        wait_for_depth(work, 1)
        with pytest.raises(OverloadedError):
            work.record([entry("a"), entry("b")])
        gate.open.set()
        for thread in threads:
            thread.join()


def test_a_batch_longer_than_the_queue_is_taken_in_parts() -> None:
    with writer(append_all, queue=2, commit=2) as work:
        assert len(work.record([entry(str(number)) for number in range(7)])) == 7


def test_what_missed_the_deadline_is_not_recorded_later() -> None:
    gate, results = Gate(), list[object]()
    with writer(gate.append, deadline=0.1) as work:
        threads = [in_thread(work, "taken", results)]
        gate.entered.wait()
        threads.append(in_thread(work, "late", results))
        for thread in threads:
            thread.join()
        gate.open.set()
    assert all(isinstance(result, DeadlineError) for result in results)
    assert gate.batches == [1]


def test_an_unavailable_store_fails_the_whole_batch() -> None:
    def fail(_entries: Sequence[Entry]) -> list[Appended | IdempotencyConflictError]:
        raise StoreUnavailableError("the disk is full")

    with writer(fail) as work:
        results = work.record([entry("a"), entry("b")])
        assert all(isinstance(result, StoreUnavailableError) for result in results)
        with pytest.raises(StoreUnavailableError):
            work.record_one(entry("c"))


def test_one_bad_entry_does_not_fail_its_neighbours() -> None:
    def refuse(entries: Sequence[Entry]) -> list[Appended | IdempotencyConflictError]:
        if any(one.entry_id == "bad" for one in entries):
            raise EntryExistsError("it is there already")
        return append_all(entries)

    with writer(refuse) as work:
        good, bad, other = work.record([entry("good"), entry("bad"), entry("other")])
    assert isinstance(bad, EntryExistsError)
    assert isinstance(good, Appended)
    assert isinstance(other, Appended)


def test_a_conflict_concerns_only_its_entry() -> None:
    def conflict(entries: Sequence[Entry]) -> list[Appended | IdempotencyConflictError]:
        return [IdempotencyConflictError("used"), *append_all(entries[1:])]

    with writer(conflict) as work:
        first, second = work.record([entry("a"), entry("b")])
    assert isinstance(first, IdempotencyConflictError)
    assert isinstance(second, Appended)


def test_closing_writes_what_waits_and_refuses_what_comes() -> None:
    gate, results = Gate(), list[object]()
    with writer(gate.append) as work:
        threads = [in_thread(work, "taken", results)]
        gate.entered.wait()
        threads.append(in_thread(work, "waits", results))
        wait_for_depth(work, 1)
        closing = threading.Thread(target=work.close)
        closing.start()
        gate.open.set()
        closing.join()
        for thread in threads:
            thread.join()
        assert all(isinstance(result, Appended) for result in results)
        assert not work.is_alive()
        with pytest.raises(OverloadedError, match="stopping"):
            work.record_one(entry("late"))
