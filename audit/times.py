"""Times as they stand in headers and look-ups: RFC 3339 in UTC, to the microsecond."""

from datetime import UTC, datetime

from audit.errors import RecordMalformedError


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds; sorts as the times do.

    Raises
    ------
    RecordMalformedError
        If the time is naive.

    Examples
    --------
    >>> format_time(datetime(2026, 1, 15, 8, 30, tzinfo=UTC))
    '2026-01-15T08:30:00.000000Z'
    """
    if moment.tzinfo is None:
        raise RecordMalformedError("a time without a zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the aware UTC time that `format_time` wrote.

    Examples
    --------
    >>> parse_time("2026-01-15T08:30:00.000000Z").year
    2026
    """
    return datetime.fromisoformat(text).astimezone(UTC)
