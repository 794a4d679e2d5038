"""A replica that records: python replica.py URL REPLICA DECISIONS BATCH CAP; starts on a line.

Every fifth decision has an Idempotency-Key that all replicas use, and each takes a place of one
counter while there is any. It prints the entry's id, its place, and whether it was repeated.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace

from audit.log import Appended, append
from audit.records import Counted, CounterKey, Entry
from audit.store import open_store
from tests.audit.sample import SEALER, SIGNER, make_decision_entry, make_order

COUNTER = CounterKey("admission", "vip-full", "2026-01-15", "vip")


def counted(entry: Entry, used: int, cap: int) -> Entry:
    """Return the entry as decided when so many places are taken."""

    def redo(present: Mapping[CounterKey, int]) -> Entry:
        return counted(entry, present[COUNTER], cap)

    taken = (COUNTER,) if used < cap else ()
    said = replace(entry, header={**entry.header, "place": used if taken else None})
    return said.with_counters(Counted({COUNTER: used}, taken, redo))


def main(url: str, replica: int, decisions: int, batch: int, cap: int) -> None:
    """Record all decisions."""
    store = open_store(url)
    sys.stdin.readline()
    for begin in range(0, decisions, batch):
        entries = []
        for number in range(begin, min(begin + batch, decisions)):
            key = f"k{number}" if number % 5 == 0 else None
            name = replica * 1_000_000 + number
            entry = make_decision_entry(name, key=key, order=make_order(number) if key else None)
            entries.append(counted(entry, 0, cap))
        for answer in append(store, entries, SIGNER, SEALER):
            assert isinstance(answer, Appended)
            sys.stdout.write(f"{answer.entry_id} {answer.leaf_index} {int(answer.repeated)}\n")
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
