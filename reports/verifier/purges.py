"""Facts that are not there because their retention had ended.

A line names the purge's entry; it is accepted only when that entry is in the log behind it, names
the decision's kind, a cut-off that the decision is older than, and a range that holds it. A cut-off
has to lie six months or more, and the retention that the entry names, before the entry's own time.
"""

from bisect import bisect_right
from datetime import datetime, timedelta

from reports.verifier.findings import CheckError
from reports.verifier.parts import Leaf

PURGE = "purge"
PURGED_TYPES = frozenset({"decision", "override", "outcome"})
LEAST_DAYS = 184


class PurgeCheck:
    """Collects what is said to be purged, and the entries that say so."""

    def __init__(self) -> None:
        self._claims: list[tuple[int, object, dict[str, object]]] = []
        self._entries: dict[int, tuple[dict[str, object], dict[str, object]]] = {}

    def claim(self, leaf: Leaf, place: object) -> None:
        """Note that an entry's parts are said to be purged by the entry at a place."""
        self._claims.append((leaf.index, place, leaf.header))

    def collect(self, index: int, header: dict[str, object], facts: dict[str, object]) -> None:
        """Note a purge's entry."""
        if header.get("type") == PURGE:
            self._entries[index] = (header, facts)

    def verify(self) -> int:
        """Check every claim, and return how many there are; raises `CheckError`."""
        for index, place, header in self._claims:
            entry = self._entries.get(place) if isinstance(place, int) and place > index else None
            if entry is None or not _covers(*entry, index, header):
                raise CheckError(
                    f"条目 {index} 的事实缺失,所指的清理条目不能说明原因",
                    f"the facts of entry {index} are missing, and no purge of the log covers it",
                )
        return len(self._claims)


def _covers(
    purge: dict[str, object], facts: dict[str, object], index: int, header: dict[str, object]
) -> bool:
    kinds, ranges = facts.get("kinds"), facts.get("ranges")
    rule = kinds.get(str(header.get("kind"))) if isinstance(kinds, dict) else None
    if not isinstance(rule, dict) or not isinstance(ranges, list):
        return False
    after = bisect_right(ranges, index, key=lambda one: one[0])
    is_held = after > 0 and index <= ranges[after - 1][1]
    before, purged_at = _moment(rule["before"]), _moment(purge.get("recorded_at"))
    latest = purged_at - timedelta(days=max(int(rule["days"]), LEAST_DAYS))
    is_old = int(rule["days"]) >= LEAST_DAYS and _moment(header.get("recorded_at")) < before
    return header.get("type") in PURGED_TYPES and is_held and is_old and before <= latest


def _moment(text: object) -> datetime:
    # Python 3.10 reads no Z.
    return datetime.fromisoformat(str(text).replace("Z", "+00:00"))  # noqa: FURB162 - see above
