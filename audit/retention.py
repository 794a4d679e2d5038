"""How long records are kept, and what the log's own purge entries cover.

A purge removes facts, sealed parts and look-ups of decisions older than the retention of their
kind, with what was said of them; header and proof stay. Its entry names kinds, days, cut-offs and
ranges of leaf indexes. Nothing else makes a missing part right: `parse_purge` refuses an entry that
covers what is too young, and `Purge.covers` tells of one header whether the entry is about it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from audit.canonical import parse_json
from audit.errors import PurgeInvalidError, RecordMalformedError
from audit.months import PURGED_TYPES
from audit.records import EntryType, format_time, parse_time
from models.domain import Json

# Three years, and six months: what the law asks of systems that decide about people at least.
DEFAULT_DAYS: Final = 1_096
LEAST_DAYS: Final = 184
# Under this name stands the retention of every kind that is not named.
ANY_KIND: Final = "*"


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days the records of each kind are kept.

    Parameters
    ----------
    days
        Kind to days, at least 184; ``*`` is every other kind.

    Examples
    --------
    >>> Retention({"risk": 400}).days_of("risk"), Retention({}).days_of("risk")
    (400, 1096)
    """

    days: Mapping[str, int]

    def days_of(self, kind: str) -> int:
        """Return the days of a kind."""
        return self.days.get(kind, self.days.get(ANY_KIND, DEFAULT_DAYS))

    def before(self, kind: str, now: datetime) -> datetime:
        """Return the cut-off of a kind: what is older may go.

        Parameters
        ----------
        now
            Aware time.
        """
        return now - timedelta(days=self.days_of(kind))


@dataclass(frozen=True, slots=True)
class Rule:
    """The cut-off of a kind in a purge.

    Parameters
    ----------
    days
        Its retention then.
    before
        RFC 3339; only what is older was removed.
    """

    days: int
    before: str


@dataclass(frozen=True, slots=True)
class Purge:
    """What an entry of the log says was purged.

    Parameters
    ----------
    leaf_index, entry_id, recorded_at
        Of the entry; the time is RFC 3339.
    kinds
        Kind to cut-off.
    ranges
        First and last leaf index of each range, rising.
    """

    leaf_index: int
    entry_id: str
    recorded_at: str
    kinds: Mapping[str, Rule]
    ranges: tuple[tuple[int, int], ...]

    def holds(self, leaf_index: int) -> bool:
        """Tell whether a place is within one of the ranges."""
        after = bisect_right(self.ranges, leaf_index, key=lambda one: one[0])
        return after > 0 and leaf_index <= self.ranges[after - 1][1]

    def meets(self, first: int, last: int) -> bool:
        """Tell whether one of the ranges holds a place from first to last."""
        after = bisect_right(self.ranges, last, key=lambda one: one[0])
        return after > 0 and first <= self.ranges[after - 1][1]

    def covers(self, leaf_index: int, header: Mapping[str, Json]) -> bool:
        """Tell whether an entry's parts were removed by this purge, rightly.

        Parameters
        ----------
        leaf_index, header
            The entry's.
        """
        rule = self.kinds.get(str(header.get("kind")))
        is_due = rule is not None and str(header.get("recorded_at")) < rule.before
        return self.holds(leaf_index) and header.get("type") in PURGED_TYPES and is_due


class Purges:
    """All purges of a log.

    Parameters
    ----------
    purges
        From `parse_purge`.
    """

    def __init__(self, purges: Iterable[Purge] = ()) -> None:
        self._purges = tuple(purges)

    def __add__(self, more: "Purges") -> "Purges":
        """Return these purges and more."""
        return Purges((*self._purges, *more._purges))

    def between(self, begin: int, end: int) -> "Purges":
        """Return the purges whose own entries stand at begin <= leaf index < end."""
        return Purges(one for one in self._purges if begin <= one.leaf_index < end)

    def newest(self) -> int:
        """Return the leaf index of the newest purge's entry; -1 when there is none."""
        return max((one.leaf_index for one in self._purges), default=-1)

    def meets(self, first: int, last: int) -> bool:
        """Tell whether a range of any purge holds a place from first to last."""
        return any(one.meets(first, last) for one in self._purges)

    def holding(self, leaf_index: int) -> Purge | None:
        """Return the purge whose ranges hold a place, right or not."""
        return next((one for one in self._purges if one.holds(leaf_index)), None)

    def covering(self, leaf_index: int, header: Mapping[str, Json]) -> Purge | None:
        """Return the purge that an entry's parts were removed by, or None."""
        return next((one for one in self._purges if one.covers(leaf_index, header)), None)


def collect_purges(
    rows: Iterable[tuple[Any, Any, Any]],
    refuse: Callable[[int, PurgeInvalidError], None] | None = None,
) -> Purges:
    """Return what the log says was purged; an entry that does not hold covers nothing.

    Parameters
    ----------
    rows
        Place, header and facts part of each purge's entry (`audit.scan.scan_purges`).
    refuse
        Told the place of each entry that does not hold, and why.
    """
    found: list[Purge] = []
    for leaf_index, leaf, facts in rows:
        try:
            found.append(parse_purge(leaf_index, leaf, facts))
        except PurgeInvalidError as error:
            if refuse is not None:
                refuse(leaf_index, error)
    return Purges(found)


def build_purge_facts(
    kinds: Mapping[str, Rule],
    ranges: Sequence[tuple[int, int]],
    records: Mapping[str, int],
    *,
    nonce: str,
    actor: str,
) -> dict[str, Json]:
    """Return the facts part of a purge's entry.

    Parameters
    ----------
    kinds, ranges
        See `Purge`.
    records
        Number of entries of each type.
    nonce
        Base64 of 32 random bytes.
    actor
        Who purges.
    """
    rules: dict[str, Json] = {
        kind: {"days": rule.days, "before": rule.before} for kind, rule in kinds.items()
    }
    listed: list[Json] = [[first, last] for first, last in ranges]
    counts: dict[str, Json] = {**records}
    facts: dict[str, Json] = {"version": 1, "nonce": nonce, "actor": actor}
    return {**facts, "kinds": rules, "ranges": listed, "records": counts}


def parse_purge(leaf_index: int, leaf: Any, facts: Any) -> Purge:  # noqa: ANN401 - tampered values have any type
    """Read a purge's entry.

    Parameters
    ----------
    leaf_index, leaf, facts
        Place, header and facts part as stored.

    Raises
    ------
    PurgeInvalidError
        If it is not the entry of a purge, its facts are not those of its header, its ranges are
        not of entries before it, or it covers what was younger than it says or than six months.
    """
    try:
        header = parse_json(leaf) if isinstance(leaf, bytes) else None
        said = parse_json(facts) if isinstance(facts, bytes) else None
    except RecordMalformedError as error:
        raise PurgeInvalidError("a purge cannot be read") from error
    if not isinstance(header, dict) or not isinstance(said, dict):
        raise PurgeInvalidError("a purge cannot be read")
    is_whole = sha256(facts).hexdigest() == header.get("facts_sha256")
    if header.get("type") != EntryType.PURGE or not is_whole:
        raise PurgeInvalidError("the facts of a purge are not those that its header names")
    recorded_at = str(header.get("recorded_at"))
    try:
        kinds = _parse_kinds(said["kinds"], parse_time(recorded_at))
        ranges = _parse_ranges(said["ranges"], leaf_index)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PurgeInvalidError("a purge is not in a known form") from error
    return Purge(leaf_index, str(header.get("id")), recorded_at, kinds, ranges)


def _parse_kinds(said: Any, at: datetime) -> dict[str, Rule]:  # noqa: ANN401 - of any form yet
    kinds = {str(kind): Rule(int(one["days"]), str(one["before"])) for kind, one in said.items()}
    for kind, rule in kinds.items():
        latest = format_time(at - timedelta(days=max(rule.days, LEAST_DAYS)))
        # Written in one form, times sort as texts.
        is_time = format_time(parse_time(rule.before)) == rule.before
        if rule.days < LEAST_DAYS or not is_time or rule.before > latest:
            raise PurgeInvalidError(f"a purge covers records of {kind} that were too young")
    return kinds


def _parse_ranges(said: Any, before: int) -> tuple[tuple[int, int], ...]:  # noqa: ANN401 - of any form yet
    ranges = tuple((first, last) for first, last in said)
    end = -1
    for first, last in ranges:
        if not (type(first) is type(last) is int and end < first <= last < before):
            raise PurgeInvalidError("the ranges of a purge are not of entries before it")
        end = last
    return ranges
