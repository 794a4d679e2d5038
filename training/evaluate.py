"""How good a model is on rows that it has not seen, with bootstrap intervals.

Ranking is measured on margins, everything else on calibrated probabilities. All resamples are
drawn at once as row counts, so a statistic of all of them is one matrix product.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from models.kind import Kind
from models.policy import CompiledPolicy, Level
from models.scorer import Matrix
from training.source import Labels

Counts = npt.NDArray[np.float64]
RESAMPLES = 200
_DECILES = 10
_BAND = 0.99
_TAILS = (2.5, 97.5)
# Keeps a probability of exactly 0 or 1 from costing infinitely much.
_LOGLOSS_EDGE = 1e-12


@dataclass(frozen=True, slots=True)
class Measured:
    """A statistic and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Decile:
    """One tenth of the test rows, by rising margin.

    Parameters
    ----------
    rows
        How many.
    mean_probability, observed
        Mean calibrated probability, and the part that was adverse.
    band
        Ends of the 99 % binomial band of the observed part if the mean probability were right.
    inside
        Whether the observed part is in the band.
    """

    rows: int
    mean_probability: float
    observed: float
    band: tuple[float, float]
    inside: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured on the test part.

    Parameters
    ----------
    rows, adverse
        Rows, and how many of them were adverse.
    metrics
        auc, logloss, brier, ece, each with its interval.
    deciles
        Calibration table.
    confusion
        Outcome at the policy's thresholds to ``{"adverse": n, "favourable": n}`` true labels.
    """

    rows: int
    adverse: int
    metrics: dict[str, Measured]
    deciles: tuple[Decile, ...]
    confusion: dict[str, dict[str, int]]

    def deciles_outside(self) -> int:
        """Return how many deciles lie outside their band."""
        return sum(not decile.inside for decile in self.deciles)


def evaluate(
    kind: Kind, margins: Matrix, probabilities: Matrix, labels: Labels, seed: int
) -> Evaluation:
    """Measure a model on its test part.

    Parameters
    ----------
    kind
        Whose policy's thresholds the confusion table uses.
    margins, probabilities
        Log-odds and calibrated probabilities, shape ``(n_rows,)``.
    labels
        1 where adverse, shape ``(n_rows,)``; both labels occur.
    seed
        Of the bootstrap.
    """
    counts = draw_counts(len(labels), seed)
    places = decile_places(margins)
    return Evaluation(
        rows=len(labels),
        adverse=int(labels.sum()),
        metrics={
            "auc": _measure(counts, lambda weights: weighted_auc(margins, labels, weights)),
            "logloss": _measure(counts, _mean_of(logloss_of(probabilities, labels))),
            "brier": _measure(counts, _mean_of((probabilities - labels) ** 2)),
            "ece": _measure(
                counts, lambda weights: weighted_ece(probabilities, labels, places, weights)
            ),
        },
        deciles=_deciles(probabilities, labels, places),
        confusion=_confusion(kind, probabilities, labels),
    )


def draw_counts(n_rows: int, seed: int, resamples: int = RESAMPLES) -> Counts:
    """Draw bootstrap resamples as counts: how often each row is in each of them.

    Returns
    -------
    counts
        Shape ``(resamples + 1, n_rows)``; the first row is all ones, the sample itself.

    Examples
    --------
    >>> draw_counts(3, seed=1, resamples=2).sum(axis=1).tolist()
    [3.0, 3.0, 3.0]
    """
    random = np.random.default_rng(seed)
    counts = np.ones((resamples + 1, n_rows))
    for place in range(1, resamples + 1):
        drawn = random.integers(0, n_rows, n_rows)
        counts[place] = np.bincount(drawn, minlength=n_rows)
    return counts


def weighted_auc(scores: Matrix, labels: Labels, counts: Counts) -> Matrix:
    """Return the area under the ROC curve for each row of counts; ties count half.

    It is NaN for a resample that holds one label only.

    Parameters
    ----------
    scores
        Higher is more adverse, shape ``(n_rows,)``.
    labels
        Shape ``(n_rows,)``.
    counts
        Shape ``(n_resamples, n_rows)``.

    Examples
    --------
    >>> weighted_auc(np.array([0.1, 0.4, 0.4]), np.array([0, 0, 1], np.int8), np.ones((1, 3)))
    array([0.75])
    """
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    adverse = np.add.reduceat(counts[:, order] * labels[order], starts, axis=1)
    favourable = np.add.reduceat(counts[:, order] * (1 - labels[order]), starts, axis=1)
    below = np.cumsum(favourable, axis=1) - favourable / 2
    pairs = adverse.sum(axis=1) * favourable.sum(axis=1)
    unknown = np.full(len(counts), np.nan)
    area: Matrix = np.divide((adverse * below).sum(axis=1), pairs, out=unknown, where=pairs > 0)
    return area


def weighted_ece(
    probabilities: Matrix, labels: Labels, places: npt.NDArray[np.int64], counts: Counts
) -> Matrix:
    """Return the expected calibration error over equally full bins, for each row of counts.

    Parameters
    ----------
    probabilities, labels
        Shape ``(n_rows,)``.
    places
        Each row's bin, shape ``(n_rows,)``.
    counts
        Shape ``(n_resamples, n_rows)``.
    """
    members = np.eye(_DECILES)[places]
    gaps = np.abs((counts * (probabilities - labels)) @ members)
    error: Matrix = gaps.sum(axis=1) / counts.sum(axis=1)
    return error


def logloss_of(probabilities: Matrix, labels: Labels) -> Matrix:
    """Return each row's logarithmic loss in nats."""
    held = np.clip(probabilities, _LOGLOSS_EDGE, 1 - _LOGLOSS_EDGE)
    loss: Matrix = -np.where(labels == 1, np.log(held), np.log1p(-held))
    return loss


def _mean_of(values: Matrix) -> Callable[[Counts], Matrix]:
    def mean(counts: Counts) -> Matrix:
        result: Matrix = counts @ values / counts.sum(axis=1)
        return result

    return mean


def _measure(counts: Counts, statistic: Callable[[Counts], Matrix]) -> Measured:
    found = statistic(counts)
    resampled = found[1:][np.isfinite(found[1:])]
    low, high = np.percentile(resampled, _TAILS).tolist()
    return Measured(float(found[0]), low, high)


def decile_places(margins: Matrix) -> npt.NDArray[np.int64]:
    """Return each row's tenth by rising margin, 0 to 9, shape ``(n_rows,)``.

    Examples
    --------
    >>> decile_places(np.array([0.3, 0.1, 0.2])).tolist()
    [6, 0, 3]
    """
    ranks = np.empty(len(margins), dtype=np.int64)
    ranks[np.argsort(margins, kind="stable")] = np.arange(len(margins))
    return ranks * _DECILES // len(margins)


def _deciles(
    probabilities: Matrix, labels: Labels, places: npt.NDArray[np.int64]
) -> tuple[Decile, ...]:
    found = []
    for place in np.unique(places).tolist():
        inside = places == place
        rows = int(inside.sum())
        mean, observed = float(probabilities[inside].mean()), float(labels[inside].mean())
        low, high = (float(end) / rows for end in binom.interval(_BAND, rows, mean))
        found.append(Decile(rows, mean, observed, (low, high), low <= observed <= high))
    return tuple(found)


def _confusion(kind: Kind, probabilities: Matrix, labels: Labels) -> dict[str, dict[str, int]]:
    policy = CompiledPolicy(kind.policy, kind.value_types())
    levels = np.array([policy.level(probability) for probability in probabilities.tolist()])
    outcomes = kind.outcomes
    codes = {
        Level.FAVOURABLE: outcomes.favourable.code,
        Level.REVIEW: outcomes.review.code,
        Level.ADVERSE: outcomes.adverse.code,
    }
    return {
        code: {
            "adverse": int(np.count_nonzero((levels == level) & (labels == 1))),
            "favourable": int(np.count_nonzero((levels == level) & (labels == 0))),
        }
        for level, code in codes.items()
    }
