"""Seeded orders whose true drivers are known: the truth that explanations are checked against.

A run draws what orders show, then labels from a documented mechanism with noise; nothing that is
drawn after the label flows back into an order. docs/simulator.md describes the worlds and says
what is unrealistic. It does not train, score or store anything.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.domain import Json
from training.errors import SimulationError
from training.simulation import (
    admission,
    admission_orders,
    risk,
    risk_orders,
    split,
    split_orders,
)
from training.simulation.calendar import draw_moments
from training.simulation.mechanism import FloatArray, Mechanism, expected_auc


@dataclass(frozen=True, slots=True)
class Simulation:
    """Simulated orders with labels and truth, ascending in `placed_at`.

    Parameters
    ----------
    kind
        Name of the kind.
    orders
        JSON-ready objects in the kind's request schema, n of them.
    labels
        1 where the adverse event happened, shape (n,).
    true_probability
        Of the adverse event given everything that the order shows, shape (n,).
    true_effects
        Driver name to its Shapley value in the mechanism's log-odds, shape (n,). They sum to the
        log-odds less their mean. Drivers are named as the kind's reason groups.
    drivers
        Names in the kind's order.
    bayes_auc
        What the best possible model reaches on average.
    notes
        What is unrealistic, one sentence each.
    """

    kind: str
    orders: list[dict[str, Json]]
    labels: npt.NDArray[np.int8]
    true_probability: FloatArray
    true_effects: dict[str, FloatArray]
    drivers: tuple[str, ...]
    bayes_auc: float
    notes: tuple[str, ...]


NOTES = (
    "The mechanism never changes; only what orders show drifts with seasons and rings.",
    "Labels are known for every order at once, and for those that would have been rejected too.",
    "A label does not feed back: a failed order adds nothing to its customer's later history.",
    "Nothing is mistyped or missing by accident, and abusers do not adapt to being blocked.",
)
_SPLIT_NOTES = (
    "An order is one leg, drawn for itself: the lines and parcels of one order are not related.",
    "Only legs that were shipped are drawn; the candidates that a plan passes over look different.",
)
_World = Callable[[np.random.Generator, int], tuple[list[dict[str, Json]], Mechanism]]


def simulate(kind_name: str, orders: int, seed: int) -> Simulation:
    """Draw orders of a kind with known truth.

    Parameters
    ----------
    kind_name
        ``admission``, ``risk`` or ``split``.
    orders
        How many, at least 100. They spread over the same eighteen months whatever their number.
    seed
        The same seed gives the same orders.

    Raises
    ------
    SimulationError
        When there is no simulated world for the kind, or too few orders are asked for.

    Examples
    --------
    >>> sample = simulate("admission", 200, seed=1)
    >>> len(sample.orders), sample.labels.shape, sample.orders[0]["currency"]
    (200, (200,), 'CNY')
    """
    if kind_name not in _WORLDS:
        raise SimulationError(f"no simulated world for {kind_name!r}: {', '.join(_WORLDS)}")
    if orders < _FEWEST:
        raise SimulationError(f"{orders} orders are too few: at least {_FEWEST}")
    random = np.random.Generator(np.random.PCG64(seed))
    documents, mechanism = _WORLDS[kind_name](random, orders)
    probability = mechanism.probability()
    labels = (random.random(orders) < probability).astype(np.int8)
    return Simulation(
        kind=kind_name,
        orders=documents,
        labels=labels,
        true_probability=probability,
        true_effects=mechanism.effects(),
        drivers=tuple(mechanism.main),
        bayes_auc=expected_auc(probability, probability),
        notes=NOTES + _SPLIT_NOTES if kind_name == "split" else NOTES,
    )


def _admission(random: np.random.Generator, n: int) -> tuple[list[dict[str, Json]], Mechanism]:
    signals = admission.draw_signals(random, draw_moments(random, n))
    return admission_orders.write_orders(signals), admission.mechanism(signals)


def _risk(random: np.random.Generator, n: int) -> tuple[list[dict[str, Json]], Mechanism]:
    signals = risk.draw_signals(random, draw_moments(random, n))
    return risk_orders.write_orders(signals), risk.mechanism(signals)


def _split(random: np.random.Generator, n: int) -> tuple[list[dict[str, Json]], Mechanism]:
    signals = split.draw_signals(random, draw_moments(random, n))
    return split_orders.write_orders(signals), split.mechanism(signals)


_FEWEST = 100
_WORLDS: dict[str, _World] = {"admission": _admission, "risk": _risk, "split": _split}
