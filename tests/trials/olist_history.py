"""What Olist's past said when an order was placed: counted leg by leg, never from the future.

A leg counts from the moment that it is known: its limit when ordered, the seller's speed when
handed over, transit and lateness when delivered.
"""

from bisect import bisect_right
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tests.trials.olist import Leg

_RECENT: Final = 20
_WEEK: Final = timedelta(days=7)
_USUAL_TRANSIT_HOURS: Final = 200.0
_USUAL_HANDOVER_HOURS: Final = 60.0
# Late and all, of a lane before anything is known of it.
_USUAL_LATE: Final = (7.0, 100.0)
# How many of a lane's legs count beside a seller's own.
_LANE_WEIGHT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of a seller and a lane when an order was placed.

    Parameters
    ----------
    handover_hours
        Median of the seller's last legs, from order to hand-over.
    limit_hours
        Median of the seller's last limits, from order.
    transit_hours
        Median of the lane's last legs, from hand-over to door.
    late_rate
        Of the seller's delivered legs, drawn towards the lane's where there are few.
    load
        Legs to the customer's state in the last seven days over a week's mean in the four weeks
        before; None when there was none in those.
    """

    handover_hours: float
    limit_hours: float
    transit_hours: float
    late_rate: float
    load: float | None


class History:
    """The past as it stood at a moment that only moves forward.

    Parameters
    ----------
    legs
        All legs.
    """

    def __init__(self, legs: tuple[Leg, ...]) -> None:
        events: list[tuple[datetime, int, int]] = []
        for number, leg in enumerate(legs):
            for kind, moment in enumerate((leg.placed_at, leg.handed_at, leg.delivered_at)):
                if moment is not None:
                    events.append((moment, kind, number))
        self._legs = legs
        self._events = sorted(events)
        self._next = 0
        self._handover: defaultdict[str, deque[float]] = defaultdict(_recent)
        self._limit: defaultdict[str, deque[float]] = defaultdict(_recent)
        self._transit: defaultdict[tuple[str, str], deque[float]] = defaultdict(_recent)
        self._late: defaultdict[str, list[float]] = defaultdict(_counts)
        self._lane_late: defaultdict[tuple[str, str], list[float]] = defaultdict(_counts)
        self._placed: defaultdict[str, list[datetime]] = defaultdict(list)

    def advance(self, moment: datetime) -> None:
        """Learn what happened before `moment`."""
        while self._next < len(self._events) and self._events[self._next][0] < moment:
            at, kind, number = self._events[self._next]
            (self._order, self._hand_over, self._deliver)[kind](self._legs[number], at)
            self._next += 1

    def known(self, seller: str, lane: tuple[str, str], now: datetime) -> Known:
        """Return what the past says of a seller and a lane."""
        late, total = self._lane_late[lane]
        lane_rate = (late + _USUAL_LATE[0]) / (total + _USUAL_LATE[1])
        own_late, own_total = self._late[seller]
        return Known(
            handover_hours=_median(self._handover[seller], _USUAL_HANDOVER_HOURS),
            limit_hours=_median(self._limit[seller], 2 * _USUAL_HANDOVER_HOURS),
            transit_hours=_median(self._transit[lane], _USUAL_TRANSIT_HOURS),
            late_rate=(own_late + _LANE_WEIGHT * lane_rate) / (own_total + _LANE_WEIGHT),
            load=self._load(lane[1], now),
        )

    def _order(self, leg: Leg, at: datetime) -> None:
        self._limit[leg.seller].append(hours_between(leg.placed_at, leg.limit_at))
        self._placed[leg.destination.state].append(at)

    def _hand_over(self, leg: Leg, at: datetime) -> None:
        self._handover[leg.seller].append(max(hours_between(leg.placed_at, at), 0.0))

    def _deliver(self, leg: Leg, at: datetime) -> None:
        if leg.handed_at is not None:
            self._transit[leg.lane].append(max(hours_between(leg.handed_at, at), 0.0))
        for counts in (self._late[leg.seller], self._lane_late[leg.lane]):
            counts[0] += leg.is_late
            counts[1] += 1

    def _load(self, state: str, now: datetime) -> float | None:
        placed = self._placed[state]
        months_ago, week_ago = (bisect_right(placed, now - n * _WEEK) for n in (5, 1))
        before, recent = week_ago - months_ago, len(placed) - week_ago
        return None if not before else min(4.0 * recent / before, 5.0)


def hours_between(start: datetime, end: datetime) -> float:
    """Return the hours from `start` to `end`."""
    return (end - start).total_seconds() / 3600


def _median(values: deque[float], usual: float) -> float:
    return sorted(values)[len(values) // 2] if values else usual


def _recent() -> deque[float]:
    return deque(maxlen=_RECENT)


def _counts() -> list[float]:
    return [0.0, 0.0]
