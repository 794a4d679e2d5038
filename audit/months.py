"""Under which month the parts of an entry are kept.

The two large tables, of facts and of sealed parts, are partitioned by it on PostgreSQL. What is
kept for as long as the log itself (publications, keys, erasures, purges) has a place of its own, so
that a month in which nothing else is left can be dropped as a whole.
"""

from datetime import datetime
from typing import Final

from audit.records import EntryType, format_time

# What a retention ends for: decisions, and what was said of them.
PURGED_TYPES: Final = frozenset({EntryType.DECISION, EntryType.OVERRIDE, EntryType.OUTCOME})
ALWAYS: Final = "always"
_MONTH_CHARACTERS: Final = len("2026-11")


def part_month(entry_type: object, recorded_at: str) -> str:
    """Return the month of an entry's parts, such as ``2026-11``, or ``always``.

    Parameters
    ----------
    entry_type
        As its header says.
    recorded_at
        RFC 3339 in UTC, as its header says.

    Examples
    --------
    >>> part_month("decision", "2026-11-03T08:30:00.000000Z")
    '2026-11'
    >>> part_month("publication", "2026-11-03T08:30:00.000000Z")
    'always'
    """
    return recorded_at[:_MONTH_CHARACTERS] if entry_type in PURGED_TYPES else ALWAYS


def months_from(first: datetime, count: int) -> list[str]:
    """Return a month and those after it, in all `count`.

    Parameters
    ----------
    first
        Aware time within the first month.
    count
        At least 0.

    Examples
    --------
    >>> months_from(datetime.fromisoformat("2026-11-03T08Z"), 3)
    ['2026-11', '2026-12', '2027-01']
    """
    year, month = map(int, format_time(first)[:_MONTH_CHARACTERS].split("-"))
    ordinals = range(year * 12 + month - 1, year * 12 + month - 1 + count)
    return [f"{ordinal // 12:04}-{ordinal % 12 + 1:02}" for ordinal in ordinals]
