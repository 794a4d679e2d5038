"""What is in the orders: articles with lasting traits, and each order's lines.

An article's price, customs control and failure rate belong to its SKU, so orders of the same
article share them. Lines lie flat in one array per trait; `first` says where each order starts.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.domain import Json
from training.simulation.calendar import IntArray
from training.simulation.draws import happens
from training.simulation.mechanism import FloatArray

CATEGORIES = ("beauty", "apparel", "home", "food", "electronics", "mother_baby")
_HS_CODES = ("3304990039", "6201400000", "7323930000", "1901109000", "8518300000", "9619001100")
_PRICES = np.array([160.0, 220.0, 110.0, 70.0, 650.0, 130.0])
_CONTROL_RATES = np.array([0.03, 0.01, 0.01, 0.10, 0.06, 0.05])
_RESALE = np.array([0.35, 0.30, 0.10, 0.05, 0.75, 0.25])
_SKUS = 2400
_MOST_LINES = 8
_UNLICENSED = 0.05


@dataclass(frozen=True, slots=True)
class Baskets:
    """The lines of all orders, flat.

    Parameters
    ----------
    first
        Index of each order's first line, shape (n + 1,).
    sku, category, quantity
        One per line.
    unit_price
        CNY, two decimals.
    controlled, licence_missing
        Whether the article needs an import licence, and whether it lacks it.
    failure_rate
        Share of the article's orders that failed in 90 days.
    resale_value
        How easily the article is sold on, 0 to 1.
    """

    first: IntArray
    sku: IntArray
    category: IntArray
    quantity: IntArray
    unit_price: FloatArray
    controlled: IntArray
    licence_missing: IntArray
    failure_rate: FloatArray
    resale_value: FloatArray

    def total(self, values: FloatArray | IntArray) -> FloatArray:
        """Sum a line value by order."""
        return np.asarray(np.add.reduceat(values, self.first[:-1]), dtype=np.float64)

    def most(self, values: FloatArray | IntArray) -> FloatArray:
        """Largest line value by order."""
        return np.asarray(np.maximum.reduceat(values, self.first[:-1]), dtype=np.float64)

    @property
    def order_value(self) -> FloatArray:
        """CNY by order, two decimals."""
        return np.round(self.total(self.unit_price * self.quantity), 2)

    @property
    def main_category(self) -> IntArray:
        """Category of each order's first line."""
        return self.category[self.first[:-1]]

    def split_lines(self, lines: list[dict[str, Json]]) -> list[Json]:
        """Cut one flat list of line objects into one list for each order."""
        bounds = self.first.tolist()
        return [list(lines[a:b]) for a, b in pairwise(bounds)]


def draw_baskets(
    random: np.random.Generator, pieces: IntArray, favoured: FloatArray | None = None
) -> Baskets:
    """Fill orders of `pieces` pieces with articles.

    Parameters
    ----------
    pieces
        Pieces of each order, at least 1, shape (n,).
    favoured
        By order, the chance that a line is of the category easiest to sell on; None for nobody.
    """
    category = random.choice(len(CATEGORIES), size=_SKUS, p=[0.22, 0.24, 0.18, 0.14, 0.12, 0.10])
    price = np.round(_PRICES[category] * random.lognormal(0.0, 0.55, _SKUS), 2)
    controlled = happens(random, _CONTROL_RATES[category], _SKUS)
    fails = random.choice(2, size=_SKUS, p=[0.88, 0.12])
    failure = np.where(fails == 1, random.beta(6.0, 26.0, _SKUS), random.beta(1.6, 60.0, _SKUS))
    popularity = random.gamma(0.8, 1.0, _SKUS) + 0.02

    count = np.minimum(np.minimum(random.geometric(0.55, len(pieces)), pieces), _MOST_LINES)
    first = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    sku = random.choice(_SKUS, size=int(first[-1]), p=popularity / popularity.sum())
    if favoured is not None:
        wanted = np.flatnonzero(category == int(np.argmax(_RESALE)))
        chosen = happens(random, np.repeat(favoured, count), len(sku))
        sku = np.where(chosen, random.choice(wanted, size=len(sku)), sku)
    quantity = np.ones(len(sku), dtype=np.int64)
    quantity[first[:-1]] = pieces - count + 1
    unlicensed = controlled[sku] & happens(random, _UNLICENSED, len(sku))
    return Baskets(
        first=first,
        sku=sku.astype(np.int64),
        category=category[sku].astype(np.int64),
        quantity=quantity,
        unit_price=price[sku],
        controlled=controlled[sku].astype(np.int64),
        licence_missing=unlicensed.astype(np.int64),
        failure_rate=np.round(failure, 3)[sku],
        resale_value=_RESALE[category][sku],
    )


def hs_code(category: int) -> str:
    """Return a customs code that is usual for a category."""
    return _HS_CODES[category]
