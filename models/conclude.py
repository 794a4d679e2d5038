"""After the model has spoken: from an explained margin to a verdict.

Calibrate, apply the policy with its promise, write the reasons, refuse what does not add up.
"""

from dataclasses import dataclass

from models.calibration import logistic
from models.caps import CapKey
from models.domain import (
    Attributions,
    CapStanding,
    Disagreement,
    Promised,
    Side,
    Snapshot,
    Verdict,
    Voice,
)
from models.invariants import verify_verdict
from models.kind import Kind
from models.loaded import LoadedModel
from models.policy import Level, PolicyInputs, PolicyResult, strictest
from models.surroundings import ErrorRates, Surroundings


def conclude(
    model: LoadedModel, snapshot: Snapshot, attributions: Attributions, surroundings: Surroundings
) -> Verdict:
    """Return what follows from an explained margin: everything after the model has spoken.

    Raises
    ------
    InvariantError
        When it does not add up.
    """
    # 1. Calibrate.
    calibrated = calibrate(model, attributions.margin)
    # 2. Apply the policy and say why.
    verdict = conclude_from(model, snapshot, attributions, surroundings, calibrated)
    # 3. Refuse what does not add up.
    verify_verdict(model.calibration, model.kind, snapshot, verdict)
    return verdict


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a calibration makes of a margin.

    Parameters
    ----------
    raw_probability
        The link of the margin.
    probability, interval
        From the tables.
    """

    raw_probability: float
    probability: float
    interval: tuple[float, float]


def calibrate(model: LoadedModel, margin: float) -> Calibrated:
    """Return what the model's calibration makes of a margin (log-odds)."""
    tables = model.calibration
    return Calibrated(logistic(margin), tables.probability(margin), tables.interval(margin))


def conclude_from(
    model: LoadedModel,
    snapshot: Snapshot,
    attributions: Attributions,
    surroundings: Surroundings,
    calibrated: Calibrated,
) -> Verdict:
    """Return what policy and reason catalogue make of a calibrated margin; checks nothing."""
    result = _apply(model, snapshot, attributions.margin, surroundings, calibrated)
    level, hits = result.level, result.hits
    side = Side.FAVOURABLE if level is Level.FAVOURABLE else Side.ADVERSE
    reasons, counter_reasons = model.catalogue.both_sides(snapshot, attributions.values, side)
    codes = outcome_codes(model.kind)
    interval = calibrated.interval
    return Verdict(
        outcome=codes[level],
        automated=level is not Level.REVIEW,
        raw_probability=calibrated.raw_probability,
        probability=calibrated.probability,
        interval=interval,
        confidence=confidence_in(level, calibrated.probability),
        outcome_set=_outcome_set(model, attributions.margin, interval, result, surroundings),
        attributions=attributions,
        reasons=reasons,
        counter_reasons=counter_reasons,
        rules=hits,
        summary=model.catalogue.summary(level, snapshot, hits, reasons),
        thresholds=(result.review_at, result.adverse_at),
        promise=_promised(model, surroundings),
        conflict=describe_conflict(result, codes),
        caps=tuple(
            CapStanding(use.key.cap, use.key.day, use.key.tier, use.used, use.limit)
            for use in result.cap_uses
        ),
    )


def apply_policy(
    model: LoadedModel, snapshot: Snapshot, margin: float, surroundings: Surroundings
) -> PolicyResult:
    """Return what the policy makes of a margin (log-odds) for this snapshot."""
    return _apply(model, snapshot, margin, surroundings, calibrate(model, margin))


def _apply(
    model: LoadedModel,
    snapshot: Snapshot,
    margin: float,
    surroundings: Surroundings,
    calibrated: Calibrated,
) -> PolicyResult:
    return model.policy.apply(
        PolicyInputs(
            probability=calibrated.probability,
            interval=calibrated.interval,
            values={**snapshot.context, **snapshot.features},
            outcome_set=outcome_labels(model, margin, surroundings),
            placed_at=surroundings.placed_at,
            counts={CapKey(c.cap, c.day, c.tier): c.count for c in surroundings.counts},
            stale=surroundings.stale,
        )
    )


def outcome_labels(
    model: LoadedModel, margin: float, surroundings: Surroundings
) -> frozenset[Side] | None:
    """Return the conformal set of labels at a margin; None without a promise or a table."""
    promised = _promised(model, surroundings)
    if promised is None or model.conformal is None:
        return None
    return model.conformal.outcome_set(
        margin, promised.working_adverse, promised.working_favourable
    )


def _promised(model: LoadedModel, surroundings: Surroundings) -> Promised | None:
    promise = model.policy.policy.promise
    if promise is None or model.conformal is None:
        return None
    working = surroundings.error_rates or ErrorRates(promise.adverse, promise.favourable)
    return Promised(promise.adverse, promise.favourable, working.adverse, working.favourable)


def describe_conflict(result: PolicyResult, codes: tuple[str, str, str]) -> Disagreement | None:
    """Return a policy's disagreement in the kind's words; None when the voices agree."""
    conflict = result.conflict
    if conflict is None:
        return None
    voices = tuple(Voice(o.voice, codes[o.level], o.cause) for o in conflict.opinions)
    return Disagreement(voices, conflict.winner, conflict.by)


def outcome_codes(kind: Kind) -> tuple[str, str, str]:
    """Return a kind's outcomes by `Level`, from mild to strict."""
    outcomes = kind.outcomes
    return outcomes.favourable.code, outcomes.review.code, outcomes.adverse.code


def confidence_in(level: Level, probability: float) -> float:
    """Return how probable it is that an outcome is right, given the adverse probability.

    Examples
    --------
    >>> confidence_in(Level.FAVOURABLE, 0.25), confidence_in(Level.REVIEW, 0.25)
    (0.75, 0.75)
    """
    if level is Level.ADVERSE:
        return probability
    right_if_favourable = 1.0 - probability
    if level is Level.FAVOURABLE:
        return right_if_favourable
    return max(probability, right_if_favourable)


def _outcome_set(
    model: LoadedModel,
    margin: float,
    interval: tuple[float, float],
    result: PolicyResult,
    surroundings: Surroundings,
) -> tuple[str, ...]:
    codes = outcome_codes(model.kind)
    labels = outcome_labels(model, margin, surroundings)
    if labels is not None:
        levels = {Side.FAVOURABLE: Level.FAVOURABLE, Side.ADVERSE: Level.ADVERSE}
        return tuple(codes[level] for side, level in levels.items() if side in labels)
    floor = strictest(Level.FAVOURABLE, result.hits)
    low = min(max(result.level_at(interval[0]), floor), result.level)
    high = max(result.level_at(interval[1]), floor, result.level)
    return codes[low : high + 1]
