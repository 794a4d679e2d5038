"""The caps' counters against the log: what the records say was used is what the counters hold.

Counters are the one table that changes, so nothing but the log can say whether they are right. Each
head of a group of records names the counters that the group used up.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import col

from audit.canonical import parse_json
from audit.errors import RecordMalformedError
from audit.records import CounterKey
from audit.tables import CounterRow

_MARK = b'"counted":[['


class CounterTally:
    """Adds up the uses that the records name."""

    def __init__(self) -> None:
        self._used: Counter[CounterKey] = Counter()

    def add(self, facts: Any) -> None:  # noqa: ANN401 - tampered values have any type
        """Count the uses that a facts part names; parts that cannot be read are told elsewhere."""
        # Most records use no counter, and reading JSON is what costs.
        if not isinstance(facts, bytes) or _MARK not in facts:
            return
        try:
            said = parse_json(facts)
        except RecordMalformedError:
            return
        uses = said.get("counted") if isinstance(said, dict) else None
        for use in uses if isinstance(uses, list) else []:
            if isinstance(use, list) and len(use) == len(CounterKey.__dataclass_fields__):
                self._used[CounterKey(*map(str, use))] += 1

    @property
    def used(self) -> Counter[CounterKey]:
        """Return the uses of each counter."""
        return self._used

    def differences(self, connection: Connection) -> Iterator[str]:
        """Yield a sentence for each counter that is not what the records add up to."""
        columns = [col(getattr(CounterRow, name)) for name in CounterKey.__dataclass_fields__]
        query = select(*columns, col(CounterRow.used))
        stored = {CounterKey(*row[:4]): row[4] for row in connection.execute(query)}
        for key in sorted(stored.keys() | self._used.keys(), key=str):
            # Counters begin with their first use, so that no row stands for no use.
            if stored.get(key) != self._used.get(key):
                yield (
                    f"the counter {key.scope}/{key.cap} of {key.day}, tier {key.tier!r}, is "
                    f"{stored.get(key, 'missing')}; the records add up to {self._used[key]}"
                )
