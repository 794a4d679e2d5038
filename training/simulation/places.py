"""Places that worlds share: warehouses fall behind, carriers fill up, weather comes in spells.

Each draws a table by place and period first, so that orders of one place and week are alike.
"""

import numpy as np

from training.simulation.calendar import DAYS, IntArray, peak, wave
from training.simulation.mechanism import FloatArray

_REGIONS = 6


def draw_backlog(
    random: np.random.Generator, days: IntArray, warehouse: IntArray, warehouses: int
) -> FloatArray:
    """Hours behind: festivals fill every warehouse, and each has bad weeks of its own."""
    weeks = random.gamma(0.35, 26.0, (warehouses, DAYS // 7 + 1))
    festival = 55.0 * peak(np.maximum(days - 2, 0))
    own = weeks[warehouse, days // 7] + random.gamma(2.0, 4.0, len(days))
    return np.asarray(np.round(np.minimum(own + festival, 400.0), 1), dtype=np.float64)


def draw_carrier_load(
    random: np.random.Generator, days: IntArray, carrier: IntArray, carriers: int
) -> FloatArray:
    """Part of a carrier's capacity in use: bad five-day spells of its own, and festivals."""
    table = random.gamma(0.6, 0.12, (carriers, DAYS // 5 + 1))
    noise = random.normal(0.62, 0.08, len(days))
    load = noise + table[carrier, days // 5] + 0.3 * peak(days)
    return np.asarray(np.round(np.clip(load, 0.2, 1.6), 2), dtype=np.float64)


def draw_weather(
    random: np.random.Generator, days: IntArray, region: IntArray, centre: int
) -> FloatArray:
    """Severity 0 to 4 by region (0 to 5) and three-day spell, worse around day `centre`."""
    spells = np.arange(DAYS // 3 + 1) * 3
    scale = 0.25 + 0.75 * wave(spells, centre)
    table = random.gamma(0.9, 1.0, (_REGIONS, len(spells))) * scale
    own = table[region, days // 3] + random.normal(0.0, 0.2, len(days))
    return np.asarray(np.round(np.clip(own, 0.0, 4.0), 1), dtype=np.float64)
