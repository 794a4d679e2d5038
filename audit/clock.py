"""Times of a log that never run backwards, whatever the clocks of its writers do.

An entry is recorded no earlier than the one before it. When a writer's clock is behind the last
entry by more than `CLOCK_TOLERANCE`, the header holds what the clock said beside the time that
counts, as `clock_at`: a clock that was once far ahead holds the log's time still, and loses none.
"""

from datetime import datetime, timedelta
from typing import Final

import orjson

from audit.canonical import canonical_json
from audit.errors import LogDamagedError
from audit.reading import Reading
from audit.records import format_time, parse_time

# Clocks of several replicas differ, and entries of one moment come in any order.
CLOCK_TOLERANCE: Final = timedelta(seconds=1)


def read_last_time(reading: Reading, tree_size: int) -> datetime | None:
    """Return when the last of so many entries was recorded; None for an empty log.

    Raises
    ------
    LogDamagedError
        If its header does not say.
    """
    if not tree_size:
        return None
    try:
        [leaf] = reading.leaves(tree_size - 1, tree_size)
        return parse_time(orjson.loads(leaf)["recorded_at"])
    except (ValueError, TypeError, KeyError) as error:
        raise LogDamagedError("the last entry's header says no time") from error


def delay_header(leaf: bytes, clock_at: datetime, last: datetime) -> bytes:
    """Return a header recorded at `last`, although its writer's clock said something earlier.

    Parameters
    ----------
    leaf
        The header's bytes.
    clock_at
        What it says of its time.
    last
        When the entry before it was recorded.

    Examples
    --------
    >>> early = datetime.fromisoformat("2026-01-15T08:30:00Z")
    >>> delay_header(b'{"recorded_at":"..."}', early, early + timedelta(milliseconds=5))
    b'{"recorded_at":"2026-01-15T08:30:00.005000Z"}'
    """
    header = orjson.loads(leaf)
    if last - clock_at > CLOCK_TOLERANCE:
        header["clock_at"] = format_time(clock_at)
    header["recorded_at"] = format_time(last)
    return canonical_json(header)
