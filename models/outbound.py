"""In which order a warehouse releases its parcels, so that carriers leave with what they can take.

A released parcel is fetched by a forklift (only one at a time in an aisle), packed at a station and
ready for its carrier. Parcels take forklift, aisle and station in the order of their release, each
as early as it can. Kept, in this order: as few missed cut-offs as possible, least total lateness,
earliest end, earliest cut-off first. It deliberately does not interrupt work or let parcels
overtake.

Up to `EXACT_PARCELS` parcels the sequence is the best of all sequences (branch and bound). Above,
it is a heuristic: Moore and Hodgson's rule, then moves of single parcels while they help. With one
station, no forklift work and all parcels available it is exact for the number of missed cut-offs;
in every case it misses no more than earliest-cut-off-first does, so whenever that meets all
cut-offs, all are met.

Notes
-----
Jackson (1955), earliest due date; Moore (1968), fewest late jobs on one machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.domain import JsonScalar
from models.finding import Finding, build_finding, moment
from models.outbound_reasons import (
    EARLIEST,
    ENDS_EARLIER,
    IDLE,
    LAST,
    MISSED,
    MORE_IN_TIME,
    Reason,
)

EXACT_PARCELS = 8
# How often and how far a parcel is moved: keeps a hundred parcels within seconds.
_PASSES, _REACH = 4, 10


@dataclass(frozen=True, slots=True)
class OutboundParcel:
    """A parcel to release. Minutes count from any common start.

    Parameters
    ----------
    available_minute
        Not before this.
    forklift_minutes, aisle
        How long a forklift fetches it and where; 0 when none is needed. None is no aisle.
    packing_minutes
        At a station.
    cut_off_minute
        Its carrier leaves; ready at this minute is in time.
    """

    parcel_id: str
    available_minute: int
    forklift_minutes: int
    aisle: str | None
    packing_minutes: int
    cut_off_minute: int


@dataclass(frozen=True, slots=True)
class Resources:
    """When each forklift and each packing station becomes idle, minutes; one of each at least."""

    forklifts_idle_at: tuple[int, ...]
    stations_idle_at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """One position of the sequence.

    Parameters
    ----------
    start_minute, packing_minute, ready_minute
        When its forklift, or without one its packing, starts; when packing starts; when it ends.
    slack_minutes
        Cut-off minus ready; negative when it is missed.
    finding
        Why it stands here.
    """

    position: int
    parcel_id: str
    start_minute: int
    packing_minute: int
    ready_minute: int
    slack_minutes: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """A sequence, with whether it is proven best and the parcels that miss their carrier."""

    releases: tuple[Release, ...]
    is_exact: bool
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Slot:
    start: int
    packing: int
    ready: int


@dataclass(frozen=True, slots=True)
class _Floor:
    """What is free when: forklifts and stations as rising minutes, aisles by name."""

    forklifts: tuple[int, ...]
    stations: tuple[int, ...]
    aisles: tuple[tuple[str, int], ...] = ()

    def place(self, parcel: OutboundParcel) -> tuple[_Slot, "_Floor"]:
        aisles = dict(self.aisles)
        start = fetched = parcel.available_minute
        forklifts = self.forklifts
        if parcel.forklift_minutes:
            # A parcel without an aisle waits for its forklift alone.
            aisle_free = 0 if parcel.aisle is None else aisles.get(parcel.aisle, 0)
            start = max(start, forklifts[0], aisle_free)
            fetched = start + parcel.forklift_minutes
            forklifts = tuple(sorted((*forklifts[1:], fetched)))
            if parcel.aisle is not None:
                aisles[parcel.aisle] = fetched
        packing = max(fetched, self.stations[0])
        ready = packing + parcel.packing_minutes
        start = start if parcel.forklift_minutes else packing
        stations = tuple(sorted((*self.stations[1:], ready)))
        return _Slot(start, packing, ready), _Floor(forklifts, stations, tuple(aisles.items()))


_Score = tuple[int, int, int]


def plan_releases(
    parcels: Sequence[OutboundParcel], resources: Resources, starts_at: datetime
) -> ReleasePlan:
    """Sequence a warehouse's parcels.

    Parameters
    ----------
    parcels
        In any order; the sequence does not depend on it.
    resources
        At least one forklift where a parcel needs one, and one station.
    starts_at
        Minute 0; the sentences name moments.

    Examples
    --------
    >>> noon = datetime(2026, 3, 1, 12, 0)
    >>> late, soon = (
    ...     OutboundParcel("late", 0, 0, None, 30, 300), OutboundParcel("soon", 0, 0, None, 30, 40)
    ... )
    >>> [r.parcel_id for r in plan_releases([late, soon], Resources((0,), (0,)), noon).releases]
    ['soon', 'late']
    """
    ordered = sorted(parcels, key=lambda parcel: (parcel.cut_off_minute, parcel.parcel_id))
    floor = _Floor(
        tuple(sorted(resources.forklifts_idle_at)), tuple(sorted(resources.stations_idle_at))
    )
    is_exact = len(ordered) <= EXACT_PARCELS
    sequence = _search(ordered, floor) if is_exact else _improve(_moore(ordered, floor), floor)
    # Why a parcel may stand before one with an earlier cut-off: the first score that gains by it.
    gains = _score(sequence, floor)[:2] < _score(ordered, floor)[:2]
    releases = _tell(sequence, floor, starts_at, MORE_IN_TIME if gains else ENDS_EARLIER)
    missed = tuple(release.parcel_id for release in releases if release.slack_minutes < 0)
    return ReleasePlan(releases, is_exact, missed)


def score(sequence: Sequence[OutboundParcel], resources: Resources) -> _Score:
    """Return what a sequence comes to: missed cut-offs, minutes late in total, end; less is better.

    Examples
    --------
    >>> score([OutboundParcel("a", 0, 0, None, 30, 20)], Resources((0,), (0,)))
    (1, 10, 30)
    """
    floor = _Floor(
        tuple(sorted(resources.forklifts_idle_at)), tuple(sorted(resources.stations_idle_at))
    )
    return _score(sequence, floor)


def _score(sequence: Sequence[OutboundParcel], floor: _Floor) -> _Score:
    total: _Score = (0, 0, 0)
    for parcel in sequence:
        slot, floor = floor.place(parcel)
        total = _add(total, parcel, slot)
    return total


def _add(total: _Score, parcel: OutboundParcel, slot: _Slot) -> _Score:
    late = max(0, slot.ready - parcel.cut_off_minute)
    return total[0] + (late > 0), total[1] + late, max(total[2], slot.ready)


def _search(ordered: list[OutboundParcel], floor: _Floor) -> list[OutboundParcel]:
    best: tuple[_Score, list[OutboundParcel]] = (_score(ordered, floor), ordered)

    def extend(
        prefix: list[OutboundParcel], left: list[OutboundParcel], now: _Floor, sofar: _Score
    ) -> None:
        nonlocal best
        # The earliest-cut-off sequence stands first: only a better one replaces it.
        if _bound(left, now, sofar) >= best[0]:
            return
        if not left:
            best = (sofar, prefix)
            return
        for place, parcel in enumerate(left):
            slot, after = now.place(parcel)
            rest = [*left[:place], *left[place + 1 :]]
            extend([*prefix, parcel], rest, after, _add(sofar, parcel, slot))

    extend([], ordered, floor, (0, 0, 0))
    return best[1]


def _bound(left: list[OutboundParcel], floor: _Floor, sofar: _Score) -> _Score:
    # Each parcel that is left, released next, is ready no earlier than in any sequence.
    for parcel in left:
        sofar = _add(sofar, parcel, floor.place(parcel)[0])
    return sofar


def _moore(ordered: list[OutboundParcel], floor: _Floor) -> list[OutboundParcel]:
    kept: list[OutboundParcel] = []
    postponed: list[OutboundParcel] = []
    for parcel in ordered:
        kept.append(parcel)
        if _score(kept, floor)[0] > 0:
            longest = max(kept, key=lambda item: item.forklift_minutes + item.packing_minutes)
            kept.remove(longest)
            postponed.append(longest)
    sequence = kept + sorted(postponed, key=ordered.index)
    return min(sequence, ordered, key=lambda item: _score(item, floor))


def _improve(sequence: list[OutboundParcel], floor: _Floor) -> list[OutboundParcel]:
    states = _states(sequence, floor)
    best = states[-1][0]
    for _ in range(_PASSES):
        before = best
        if before[1] == 0:
            break
        for origin in range(len(sequence)):
            for target in range(max(0, origin - _REACH), min(len(sequence), origin + _REACH + 1)):
                moved = [*sequence[:origin], *sequence[origin + 1 :]]
                moved.insert(target, sequence[origin])
                # What stands before both places stays as it is.
                kept = min(origin, target)
                found = _continue(states[kept], moved[kept:], best)
                if found < best:
                    sequence, best = moved, found
                    states = _states(sequence, floor)
        if best == before:
            break
    return sequence


def _states(sequence: list[OutboundParcel], floor: _Floor) -> list[tuple[_Score, _Floor]]:
    states: list[tuple[_Score, _Floor]] = [((0, 0, 0), floor)]
    for parcel in sequence:
        slot, after = states[-1][1].place(parcel)
        states.append((_add(states[-1][0], parcel, slot), after))
    return states


def _continue(state: tuple[_Score, _Floor], rest: list[OutboundParcel], limit: _Score) -> _Score:
    # No part of a score ever falls, so what reaches the limit stays there.
    total, floor = state
    for parcel in rest:
        slot, floor = floor.place(parcel)
        total = _add(total, parcel, slot)
        if total >= limit:
            break
    return total


def _tell(
    sequence: list[OutboundParcel], floor: _Floor, starts_at: datetime, overtaking: Reason
) -> tuple[Release, ...]:
    releases = []
    for place, parcel in enumerate(sequence):
        slot, after = floor.place(parcel)
        slack = parcel.cut_off_minute - slot.ready
        facts: dict[str, JsonScalar] = {
            "ready_at": moment(starts_at + timedelta(minutes=slot.ready)),
            "cut_off_at": moment(starts_at + timedelta(minutes=parcel.cut_off_minute)),
            "slack_minutes": abs(slack),
        }
        code, sentence = _why(parcel, slot, sequence[place + 1 :], floor) or overtaking
        facts["sooner"] = sum(p.cut_off_minute < parcel.cut_off_minute for p in sequence[place:])
        finding = build_finding(code, sentence, facts)
        releases.append(
            Release(
                place + 1, parcel.parcel_id, slot.start, slot.packing, slot.ready, slack, finding
            )
        )
        floor = after
    return tuple(releases)


def _why(
    parcel: OutboundParcel, slot: _Slot, later: list[OutboundParcel], floor: _Floor
) -> Reason | None:
    if slot.ready > parcel.cut_off_minute:
        return MISSED
    if not later:
        return LAST
    sooner = [item for item in later if item.cut_off_minute < parcel.cut_off_minute]
    if not sooner:
        return EARLIEST
    if all(floor.place(item)[0].packing > slot.packing for item in sooner):
        return IDLE
    return None
