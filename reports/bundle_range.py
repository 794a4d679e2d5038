"""Which entries a bundle covers: a range of the log without a gap, wider than what was asked for.

The range begins and ends at checkpoints, and holds an entry of another time on each side of the
period (or reaches the log's ends), so that a reader sees that nothing was cut off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.checkpoint import parse_checkpoint
from audit.errors import RecordNotFoundError
from audit.records import EntryType, format_time
from audit.store import Found, Reading
from models.domain import Json
from reports.errors import EvidenceRequestError


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """What to export.

    Parameters
    ----------
    from_at, to_at
        Aware times; from is included, to is not; None means any.
    kind
        Only decisions of this kind.
    decision_ids
        Only these decisions; without a period the range is as short as they allow.
    order_ids
        Orders to reconcile with what is in the log.
    reason
        Why personal parts are to be opened; None leaves them sealed and out.
    """

    from_at: datetime | None = None
    to_at: datetime | None = None
    kind: str | None = None
    decision_ids: tuple[str, ...] | None = None
    order_ids: tuple[str, ...] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Covered:
    """A range of leaf indexes, begin <= leaf_index < end, in a log of `head` entries."""

    begin: int
    end: int
    head: int


class Selection:
    """Tells which decisions were asked for.

    Parameters
    ----------
    request
        What to export.
    """

    def __init__(self, request: EvidenceRequest) -> None:
        self._kind = request.kind
        self._from = None if request.from_at is None else format_time(request.from_at)
        self._to = None if request.to_at is None else format_time(request.to_at)
        self._ids = None if request.decision_ids is None else set(request.decision_ids)

    def matches(self, header: dict[str, Json]) -> bool:
        """Tell whether an entry's header is one of them."""
        return header.get("type") == EntryType.DECISION and self._is_asked(
            str(header.get("recorded_at")), header.get("kind"), header.get("id")
        )

    def finds(self, found: Found) -> bool:
        """Tell whether what a search found is one of them."""
        return self._is_asked(format_time(found.recorded_at), found.kind, found.entry_id)

    def _is_asked(self, recorded_at: str, kind: Json, entry_id: Json) -> bool:
        # Times of one written form sort as the times do.
        after = self._from is None or recorded_at >= self._from
        before = self._to is None or recorded_at < self._to
        of_kind = self._kind is None or kind == self._kind
        return after and before and of_kind and (self._ids is None or entry_id in self._ids)


def choose_range(reading: Reading, request: EvidenceRequest) -> Covered:
    """Return the range of a request.

    Raises
    ------
    EvidenceRequestError
        When the log is empty, the period ends before it begins, or a decision is not in the log.
    """
    note = reading.head()
    if note is None:
        raise EvidenceRequestError("the log is empty")
    head = parse_checkpoint(note).tree_size
    begin, end = _find_bounds(reading, request, head)
    covering = parse_checkpoint(reading.checkpoint_covering(end - 1)).tree_size
    return Covered(reading.checkpoint_before(begin), covering, head)


def _find_bounds(reading: Reading, request: EvidenceRequest, head: int) -> tuple[int, int]:
    from_at, to_at = request.from_at, request.to_at
    if from_at is not None and to_at is not None and from_at >= to_at:
        raise EvidenceRequestError("the period ends before it begins")
    if request.decision_ids is not None:
        first, last = _place(reading, request.decision_ids)
        if from_at is None and to_at is None:
            return first, last + 1
    if from_at is None and to_at is None:
        return 0, head
    bounds = reading.bounds(from_at, to_at)
    if bounds is None:
        before = reading.bounds(None, from_at) if from_at is not None else None
        # Nothing in the period: the last entry before it and the next one show that.
        last_before = -1 if before is None else before[1]
        return max(last_before, 0), min(last_before + 2, head)
    return max(bounds[0] - 1, 0), min(bounds[1] + 2, head)


def _place(reading: Reading, decision_ids: Sequence[str]) -> tuple[int, int]:
    places = []
    for decision_id in decision_ids:
        try:
            places.append(reading.record(decision_id).leaf_index)
        except RecordNotFoundError as error:
            raise EvidenceRequestError(f"no entry has the id {decision_id[:64]!r}") from error
    if not places:
        raise EvidenceRequestError("the list of decisions is empty")
    return min(places), max(places)
