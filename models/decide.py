"""The main path of this package: an order, a model and a policy make a decision.

Numbered steps: read the order, compute the snapshot, score and explain it, calibrate, apply the
policy, write the reasons, check that everything adds up. Pure: the clock, the counters and what
reference tables say (`models.case`) come in as arguments and nothing is stored. Deciding one order
or many gives the same bits.
"""

import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from models.bundle import Bundle
from models.calibration import Calibration, logistic
from models.caps import CapKey
from models.case import Case, CaseReader, moment_at
from models.conformal import Conformal
from models.decision import Decision
from models.domain import (
    Attributions,
    CapStanding,
    Disagreement,
    FeatureValue,
    ModelRef,
    PolicyRef,
    Promised,
    Runtime,
    Side,
    Snapshot,
    Verdict,
    Voice,
)
from models.errors import InvariantError
from models.features import Extractor, feature_code
from models.invariants import verify_verdict
from models.kind import Kind
from models.lookup import Found, Lookups
from models.order import OrderSchema, ParsedOrder
from models.policy import CompiledPolicy, Level, PolicyInputs, PolicyResult, strictest
from models.policy_document import Policy
from models.reasons import ReasonCatalogue
from models.scorer import EXPLAINER_ID, Matrix, Scorer, lightgbm_version
from models.surroundings import ErrorRates, Surroundings
from models.thresholds import parse_thresholds

Clock = Callable[[], float]
_NO_SURROUNDINGS = Surroundings()


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Everything that deciding needs, ready in memory; made by `load_model`."""

    kind: Kind
    schema: OrderSchema
    extractor: Extractor
    categories: dict[str, dict[str, float]]
    scorer: Scorer
    calibration: Calibration
    conformal: Conformal | None
    catalogue: ReasonCatalogue
    policy: CompiledPolicy
    thresholds: tuple[tuple[float, ...], ...]
    model_ref: ModelRef
    policy_ref: PolicyRef
    runtime: Runtime


def load_model(
    bundle: Bundle, model_ref: ModelRef, policy: Policy, policy_ref: PolicyRef
) -> LoadedModel:
    """Make a bundle and a policy ready to decide.

    Raises
    ------
    InvariantError
        When this version does not have the bundle's explainer.
    ScorerError
        When LightGBM refuses the model.
    KindFileError
        When the kind names a feature function that does not exist.
    PolicyError
        When the policy reads values that the kind does not have, or its graph may not be used.
    """
    if bundle.explainer.id != EXPLAINER_ID:
        raise InvariantError(f"no explainer {bundle.explainer.id!r} in this version")
    return LoadedModel(
        kind=bundle.kind,
        schema=OrderSchema(bundle.kind),
        extractor=Extractor(bundle.kind),
        categories={
            name: {value: float(code) for code, value in enumerate(values)}
            for name, values in bundle.categories.items()
        },
        scorer=Scorer(bundle.model_text, len(bundle.kind.features)),
        calibration=bundle.calibration,
        conformal=bundle.conformal,
        catalogue=ReasonCatalogue(bundle.kind),
        policy=CompiledPolicy(policy, bundle.kind.value_types()),
        thresholds=parse_thresholds(bundle.model_text, len(bundle.kind.features)),
        model_ref=model_ref,
        policy_ref=policy_ref,
        runtime=present_runtime(),
    )


def present_runtime() -> Runtime:
    """Return the versions of the code that would decide now."""
    return Runtime(
        candor=version("candor"),
        explainer=f"{EXPLAINER_ID}/{lightgbm_version()}",
        feature_code=feature_code(),
        lightgbm=lightgbm_version(),
        machine=platform.machine(),
        numpy=np.__version__,
        python=platform.python_version(),
        rapidfuzz=version("rapidfuzz"),
        zen_engine=version("zen-engine"),
    )


def decide(model: LoadedModel, body: bytes, clock: Clock) -> Decision:
    """Decide one order.

    Parameters
    ----------
    model
        The live model of the kind.
    body
        The order as JSON text, as received.
    clock
        Seconds, rising; for the timings only.

    Raises
    ------
    MalformedJsonError, OrderInvalidError
        When the order is not what the kind asks for.
    ScorerError, InvariantError
        When the model fails or its answer does not add up; nothing may be answered then.
    """
    started = clock()
    order = model.schema.parse(body)
    return decide_many(model, [order], clock, started)[0]


def decide_many(
    model: LoadedModel, orders: Sequence[ParsedOrder], clock: Clock, started: float | None = None
) -> list[Decision]:
    """Decide many orders without reference tables and counters; see `decide_cases`.

    Parameters
    ----------
    orders
        Checked orders.
    started
        Clock reading when the first was received; the timings count from it.
    """
    begin = clock() if started is None else started
    return decide_cases(model, [build_case(model, order) for order in orders], clock, begin)


def build_case(
    model: CaseReader,
    order: ParsedOrder,
    lookups: Lookups | None = None,
    error_rates: ErrorRates | None = None,
) -> Case:
    """Return what model and policy will see of an order.

    Parameters
    ----------
    order
        A checked order.
    lookups
        The kind's look-ups over the tables in force; without them their values are missing, which
        a policy asks a person about.
    error_rates
        Working error rates of the conformal set; None for the policy's promise.
    """
    snapshot = model.extractor.snapshot(order.values)
    placed_at = moment_at(order.values, model.kind.placed_at)
    found = _NOTHING_FOUND if lookups is None else lookups.find(order.values)
    snapshot = Snapshot(snapshot.features, {**snapshot.context, **found.context})
    surroundings = Surroundings(
        placed_at=placed_at,
        stale=found.stale,
        references=found.references,
        error_rates=error_rates,
    )
    known = {**snapshot.context, **snapshot.features}
    keys = model.policy.cap_keys(known, placed_at)
    return Case(snapshot, surroundings, keys, found.personal, order.unknown_fields)


def decide_cases(
    model: LoadedModel, cases: Sequence[Case], clock: Clock, started: float
) -> list[Decision]:
    """Decide many cases with one call of the model; the same bits as one by one.

    Raises
    ------
    ScorerError, InvariantError
        See `decide`.
    """
    ready = clock()
    verdicts = decide_snapshots(
        model, [case.snapshot for case in cases], [case.surroundings for case in cases]
    )
    done = clock()
    timings = {"features": (ready - started) * 1e3, "model": (done - ready) * 1e3}
    return [
        Decision(
            kind=model.kind.name,
            snapshot=case.snapshot,
            verdict=verdict,
            model=model.model_ref,
            policy=model.policy_ref,
            runtime=model.runtime,
            unknown_fields=case.unknown_fields,
            timings_ms={name: round(value, 3) for name, value in timings.items()},
            surroundings=case.surroundings,
            personal=case.personal,
        )
        for case, verdict in zip(cases, verdicts, strict=True)
    ]


def decide_snapshot(
    model: LoadedModel, snapshot: Snapshot, surroundings: Surroundings = _NO_SURROUNDINGS
) -> Verdict:
    """Decide from a snapshot; what replay does."""
    return decide_snapshots(model, [snapshot], [surroundings])[0]


def decide_snapshots(
    model: LoadedModel,
    snapshots: Sequence[Snapshot],
    surroundings: Sequence[Surroundings] | None = None,
    threads: int = 1,
) -> list[Verdict]:
    """Decide from many snapshots with one call of the model.

    Parameters
    ----------
    snapshots
        What the model sees.
    surroundings
        What else each decision rests on; None for nothing.
    threads
        Of the scorer.

    Raises
    ------
    ScorerError, InvariantError
        See `decide`.
    """
    around = surroundings or [_NO_SURROUNDINGS] * len(snapshots)
    scores = model.scorer.score(encode(model, snapshots), threads)
    verdicts = []
    for row, snapshot in enumerate(snapshots):
        attributions = Attributions(
            base_value=float(scores.base_values[row]) + 0.0,
            margin=float(scores.margins[row]) + 0.0,
            link="logit",
            # Adding 0.0 turns -0.0 into 0.0: JSON forms disagree on the sign of zero.
            values={
                name: value + 0.0
                for name, value in zip(
                    model.extractor.feature_names,
                    scores.contributions[row].tolist(),
                    strict=True,
                )
            },
        )
        verdicts.append(conclude(model, snapshot, attributions, around[row]))
    return verdicts


def encode(model: LoadedModel, snapshots: Sequence[Snapshot]) -> Matrix:
    """Return the matrix that the trees see, shape ``(n_snapshots, n_features)``.

    A missing value and a category that was not seen in training are NaN.
    """
    columns = [(name, model.categories.get(name)) for name in model.extractor.feature_names]
    # By name and not by place: a snapshot that was read back is sorted by name.
    rows = [
        [_code(snapshot.features.get(name), table) for name, table in columns]
        for snapshot in snapshots
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))


def _code(value: FeatureValue, table: dict[str, float] | None) -> float:
    if isinstance(value, str):
        return math.nan if table is None else table.get(value, math.nan)
    return math.nan if value is None else value


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
    probability = model.calibration.probability(attributions.margin)
    interval = model.calibration.interval(attributions.margin)
    # 2. Apply the policy.
    result = apply_policy(model, snapshot, attributions.margin, surroundings)
    level, hits = result.level, result.hits
    # 3. Say why.
    side = Side.FAVOURABLE if level is Level.FAVOURABLE else Side.ADVERSE
    reasons, counter_reasons = model.catalogue.both_sides(snapshot, attributions.values, side)
    codes = outcome_codes(model.kind)
    verdict = Verdict(
        outcome=codes[level],
        automated=level is not Level.REVIEW,
        raw_probability=logistic(attributions.margin),
        probability=probability,
        interval=interval,
        confidence=confidence_in(level, probability),
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
    # 4. Refuse what does not add up.
    verify_verdict(model.calibration, model.kind, snapshot, verdict)
    return verdict


def apply_policy(
    model: LoadedModel, snapshot: Snapshot, margin: float, surroundings: Surroundings
) -> PolicyResult:
    """Return what the policy makes of a margin (log-odds) for this snapshot."""
    return model.policy.apply(
        PolicyInputs(
            probability=model.calibration.probability(margin),
            interval=model.calibration.interval(margin),
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


_NOTHING_FOUND = Found({}, {}, (), ())
