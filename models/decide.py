"""The main path of this package: an order, a model and a policy make a decision.

Numbered steps: read the order, compute the snapshot, score and explain it, calibrate, apply the
policy, write the reasons, check that everything adds up. Pure: the clock comes in as an argument
and nothing is stored. Deciding one order or many gives the same bits.
"""

import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from models.bundle import Bundle
from models.calibration import Calibration, logistic
from models.domain import (
    Attributions,
    Decision,
    FeatureValue,
    ModelRef,
    PolicyRef,
    Runtime,
    Side,
    Snapshot,
    Verdict,
)
from models.errors import InvariantError
from models.features import Extractor, feature_code
from models.invariants import verify_verdict
from models.kind import Kind
from models.order import OrderSchema, ParsedOrder
from models.policy import CompiledPolicy, Level, strictest
from models.policy_document import Policy
from models.reasons import ReasonCatalogue
from models.scorer import EXPLAINER_ID, Matrix, Scorer, lightgbm_version
from models.thresholds import parse_thresholds

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Everything that deciding needs, ready in memory; made by `load_model`."""

    kind: Kind
    schema: OrderSchema
    extractor: Extractor
    categories: dict[str, dict[str, float]]
    scorer: Scorer
    calibration: Calibration
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
    """Decide many orders with one call of the model; the same bits as one by one.

    Parameters
    ----------
    orders
        Checked orders.
    started
        Clock reading when the first was received; the timings count from it.
    """
    begin = clock() if started is None else started
    snapshots = [model.extractor.snapshot(order.values) for order in orders]
    ready = clock()
    verdicts = decide_snapshots(model, snapshots)
    done = clock()
    timings = {"features": (ready - begin) * 1e3, "model": (done - ready) * 1e3}
    return [
        Decision(
            kind=model.kind.name,
            snapshot=snapshot,
            verdict=verdict,
            model=model.model_ref,
            policy=model.policy_ref,
            runtime=model.runtime,
            unknown_fields=order.unknown_fields,
            timings_ms={name: round(value, 3) for name, value in timings.items()},
        )
        for order, snapshot, verdict in zip(orders, snapshots, verdicts, strict=True)
    ]


def decide_snapshot(model: LoadedModel, snapshot: Snapshot) -> Verdict:
    """Decide from a snapshot; what replay does."""
    return decide_snapshots(model, [snapshot])[0]


def decide_snapshots(
    model: LoadedModel, snapshots: Sequence[Snapshot], threads: int = 1
) -> list[Verdict]:
    """Decide from many snapshots with one call of the model.

    Raises
    ------
    ScorerError, InvariantError
        See `decide`.
    """
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
        verdicts.append(_conclude(model, snapshot, attributions))
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


def _conclude(model: LoadedModel, snapshot: Snapshot, attributions: Attributions) -> Verdict:
    # 1. Calibrate.
    probability = model.calibration.probability(attributions.margin)
    interval = model.calibration.interval(attributions.margin)
    # 2. Apply the policy.
    hits = model.policy.fired({**snapshot.context, **snapshot.features})
    level = strictest(model.policy.level(probability), hits)
    # 3. Say why.
    side = Side.FAVOURABLE if level is Level.FAVOURABLE else Side.ADVERSE
    reasons, counter_reasons = model.catalogue.both_sides(snapshot, attributions.values, side)
    verdict = Verdict(
        outcome=_codes(model.kind)[level],
        automated=level is not Level.REVIEW,
        raw_probability=logistic(attributions.margin),
        probability=probability,
        interval=interval,
        confidence=_confidence(level, probability),
        outcome_set=_outcome_set(model, interval, strictest(Level.FAVOURABLE, hits), level),
        attributions=attributions,
        reasons=reasons,
        counter_reasons=counter_reasons,
        rules=hits,
        summary=model.catalogue.summary(level, snapshot, hits, reasons),
    )
    # 4. Refuse what does not add up.
    verify_verdict(model.calibration, model.kind, snapshot, verdict)
    return verdict


def _codes(kind: Kind) -> tuple[str, str, str]:
    outcomes = kind.outcomes
    return outcomes.favourable.code, outcomes.review.code, outcomes.adverse.code


def _confidence(level: Level, probability: float) -> float:
    if level is Level.ADVERSE:
        return probability
    right_if_favourable = 1.0 - probability
    if level is Level.FAVOURABLE:
        return right_if_favourable
    return max(probability, right_if_favourable)


def _outcome_set(
    model: LoadedModel, interval: tuple[float, float], floor: Level, level: Level
) -> tuple[str, ...]:
    low = min(max(model.policy.level(interval[0]), floor), level)
    high = max(model.policy.level(interval[1]), floor, level)
    return _codes(model.kind)[low : high + 1]
