"""When simulated orders are placed, and the seasons that many signals share.

Eighteen months ending on 2026-03-01, in the shop's time (UTC+8), with the Chinese and foreign
shopping festivals. Seasons are why carrier load, warehouse backlog and stock move together.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.simulation.mechanism import FloatArray

IntArray = npt.NDArray[np.int64]
START = np.datetime64("2024-09-01T00:00:00", "s")
DAYS = 546
_DAY_SECONDS = 86_400
_FESTIVALS = ((315, 9.0, 1.0), (169, 8.0, 0.7), (340, 14.0, 0.5), (20, 10.0, 0.4))
_HOURS = np.array(
    (
        *(2.2, 1.2, 0.7, 0.5, 0.4, 0.5, 1.0, 2.0, 3.4, 4.6, 5.4, 5.3),
        *(5.2, 5.0, 4.9, 4.9, 4.8, 4.6, 4.8, 5.8, 7.2, 7.6, 6.4, 4.2),
    )
)


@dataclass(frozen=True, slots=True)
class Moments:
    """When each order is placed, ascending.

    Parameters
    ----------
    seconds
        Since `START`, in local time, shape (n,).
    """

    seconds: IntArray

    @property
    def days(self) -> IntArray:
        """Whole days since `START`."""
        return self.seconds // _DAY_SECONDS

    @property
    def hours(self) -> FloatArray:
        """Hour of the day with its fraction, as whole minutes."""
        minutes = self.seconds % _DAY_SECONDS // 60
        return np.asarray(minutes / 60, dtype=np.float64)

    def texts(self) -> list[str]:
        """Return RFC 3339 timestamps with the shop's offset."""
        local = START + self.seconds.astype("timedelta64[s]")
        return [f"{text}+08:00" for text in np.datetime_as_string(local).tolist()]


def peak(days: IntArray) -> FloatArray:
    """Return how much a festival drives demand, 0 to about 1, for days since `START`.

    Examples
    --------
    >>> singles_day = (np.datetime64("2025-11-11") - START.astype("datetime64[D]")).astype(int)
    >>> bool(peak(np.array([singles_day]))[0] > 0.9)
    True
    """
    year_day = (days + 244) % 365 + 1
    level = np.zeros(days.shape)
    for centre, width, height in _FESTIVALS:
        away = np.abs(year_day - centre)
        level += height * np.exp(-0.5 * (np.minimum(away, 365 - away) / width) ** 2)
    return level


def wave(days: IntArray, centre: int) -> FloatArray:
    """Return a yearly wave, 1 at day-of-year `centre` and 0 half a year later.

    Examples
    --------
    >>> [round(float(level), 2) for level in wave(np.array([0, 182]), 245)]
    [1.0, 0.0]
    """
    year_day = (days + 244) % 365 + 1
    return 0.5 + 0.5 * np.cos(2 * np.pi * (year_day - centre) / 365)


def draw_moments(random: np.random.Generator, orders: int) -> Moments:
    """Draw when `orders` orders are placed: more at festivals and in the evening."""
    demand = 1.0 + 1.2 * peak(np.arange(DAYS)) + np.linspace(0.0, 0.3, DAYS)
    days = random.choice(DAYS, size=orders, p=demand / demand.sum())
    hours = random.choice(24, size=orders, p=_HOURS / _HOURS.sum())
    seconds = days * _DAY_SECONDS + hours * 3600 + random.integers(0, 3600, orders)
    return Moments(np.sort(seconds.astype(np.int64)))


def date_texts(days: IntArray) -> list[str]:
    """Return ISO dates of days since `START`.

    Examples
    --------
    >>> date_texts(np.array([0]))
    ['2024-09-01']
    """
    dates = START.astype("datetime64[D]") + days.astype("timedelta64[D]")
    texts: list[str] = np.datetime_as_string(dates).tolist()
    return texts
