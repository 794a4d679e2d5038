"""What a model must pass before it may be published.

Each gate has a name, a measured value, a bound and a side. A model that fails one is registered, so
that it can be looked at, and not published.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.invariants import ADDITIVITY_TOLERANCE
from models.scorer import Matrix, Scores
from training.evaluate import (
    Evaluation,
    decile_places,
    logloss_of,
    weighted_auc,
    weighted_ece,
)
from training.source import Labels

SECOND_OPINION_TOLERANCE = 1e-6
# On top of it comes what chance alone makes of a perfectly calibrated model (`ece_by_chance`).
ECE_BOUND = 0.02
_CHANCE = 0.5
_CHANCE_DRAWS = 200
_CHANCE_PERCENTILE = 99


@dataclass(frozen=True, slots=True)
class Gate:
    """One requirement and whether it is met.

    Parameters
    ----------
    name
        Stable slug.
    measured, bound
        The value and what it is held to.
    side
        Whether the value must be above, or at most, the bound.
    passed
        Whether it is.
    """

    name: str
    measured: float
    bound: float
    side: Literal["above", "at_most"]
    passed: bool


@dataclass(frozen=True, slots=True)
class Checks:
    """What the gates look at.

    Parameters
    ----------
    evaluation
        Of the model on the test part.
    margins, probabilities, labels
        Test part, shape ``(n_rows,)``.
    baseline
        The logistic regression's probabilities on it.
    scores
        The serving scorer's margins and attributions for a sample of it.
    second_opinion
        shap's attributions for the first rows of that sample.
    """

    evaluation: Evaluation
    margins: Matrix
    probabilities: Matrix
    labels: Labels
    baseline: Matrix
    scores: Scores
    second_opinion: Matrix


def check_gates(checks: Checks, seed: int) -> tuple[Gate, ...]:
    """Hold a model to every gate.

    Parameters
    ----------
    checks
        What was measured.
    seed
        Of the draws that say how large a calibration error chance makes.
    """
    whole = np.ones((1, len(checks.labels)))
    auc = weighted_auc(checks.margins, checks.labels, whole)
    baseline_auc = weighted_auc(checks.baseline, checks.labels, whole)
    logloss = logloss_of(checks.probabilities, checks.labels).mean()
    baseline_logloss = logloss_of(checks.baseline, checks.labels).mean()
    chance = ece_by_chance(checks.margins, checks.probabilities, seed)
    return (
        _above("auc-above-chance", checks.evaluation.metrics["auc"].low, _CHANCE),
        _above("auc-over-logistic-regression", float(auc[0] - baseline_auc[0]), 0.0),
        _above("logloss-under-logistic-regression", float(baseline_logloss - logloss), 0.0),
        _at_most("calibration-error", checks.evaluation.metrics["ece"].value, ECE_BOUND + chance),
        _at_most("additivity", largest_residual(checks.scores), ADDITIVITY_TOLERANCE),
        _at_most("second-opinion", largest_difference(checks), SECOND_OPINION_TOLERANCE),
    )


def metrics_of(checks: Checks) -> dict[str, float]:
    """Return every figure of a run by its name in the registry, with its interval's ends."""
    measured = checks.evaluation.metrics
    whole = np.ones((1, len(checks.labels)))
    return {
        **{name: metric.value for name, metric in measured.items()},
        **{f"{name}_low": metric.low for name, metric in measured.items()},
        **{f"{name}_high": metric.high for name, metric in measured.items()},
        "deciles_outside_band": float(checks.evaluation.deciles_outside()),
        "logistic_regression_auc": float(weighted_auc(checks.baseline, checks.labels, whole)[0]),
        "logistic_regression_logloss": float(logloss_of(checks.baseline, checks.labels).mean()),
        "second_opinion_largest_difference": largest_difference(checks),
    }


def ece_by_chance(margins: Matrix, probabilities: Matrix, seed: int) -> float:
    """Return the calibration error that a perfect model exceeds once in a hundred times.

    Parameters
    ----------
    margins, probabilities
        Test part; the probabilities are taken as the truth.
    seed
        Of the labels drawn from them.

    Examples
    --------
    >>> margins = np.linspace(-1, 1, 1000)
    >>> 0.01 < ece_by_chance(margins, np.full(1000, 0.5), seed=1) < 0.08
    True
    """
    random = np.random.default_rng(seed)
    places = decile_places(margins)
    whole = np.ones((1, len(margins)))
    drawn = [
        weighted_ece(
            probabilities,
            (random.random(len(margins)) < probabilities).astype(np.int8),
            places,
            whole,
        )[0]
        for _ in range(_CHANCE_DRAWS)
    ]
    return float(np.percentile(drawn, _CHANCE_PERCENTILE))


def largest_residual(scores: Scores) -> float:
    """Return the largest distance of base value plus attributions from the margin, log-odds."""
    sums = scores.base_values + scores.contributions.sum(axis=1)
    return float(np.abs(sums - scores.margins).max())


def largest_difference(checks: Checks) -> float:
    """Return the largest difference of an attribution from the second opinion, log-odds."""
    ours = checks.scores.contributions[: len(checks.second_opinion)]
    return float(np.abs(ours - checks.second_opinion).max())


def _above(name: str, measured: float, bound: float) -> Gate:
    return Gate(name, measured, bound, "above", measured > bound)


def _at_most(name: str, measured: float, bound: float) -> Gate:
    return Gate(name, measured, bound, "at_most", measured <= bound)
