"""The main path of this package: an order, a model and a policy make a decision.

Numbered steps: read the order, compute the snapshot, score and explain it, calibrate, apply the
policy, write the reasons, check that everything adds up. Pure: the clock, the counters and what
reference tables say (`models.case`) come in as arguments and nothing is stored. Deciding one order
or many gives the same bits.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from models.case import Case, CaseReader, moment_at
from models.conclude import conclude
from models.decision import Decision
from models.domain import Attributions, FeatureValue, Snapshot, Verdict
from models.loaded import LoadedModel, load_model, present_runtime
from models.lookup import Found, Lookups
from models.order import ParsedOrder
from models.scorer import Matrix
from models.surroundings import ErrorRates, Surroundings

__all__ = [
    "Clock",
    "LoadedModel",
    "build_case",
    "decide",
    "decide_cases",
    "decide_many",
    "decide_snapshot",
    "decide_snapshots",
    "encode",
    "explain",
    "load_model",
    "present_runtime",
]

Clock = Callable[[], float]
_NO_SURROUNDINGS = Surroundings()
_NOTHING_FOUND = Found({}, {}, (), ())


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
    explained = explain(model, snapshots, threads)
    return [
        conclude(model, snapshot, attributions, beside)
        for snapshot, attributions, beside in zip(snapshots, explained, around, strict=True)
    ]


def explain(
    model: LoadedModel, snapshots: Sequence[Snapshot], threads: int = 1
) -> list[Attributions]:
    """Return the margins of many snapshots and what makes them, with one call of the model.

    Raises
    ------
    ScorerError
        When the model fails.
    """
    scores = model.scorer.score(encode(model, snapshots), threads)
    names = model.extractor.feature_names
    return [
        Attributions(
            base_value=float(scores.base_values[row]) + 0.0,
            margin=float(scores.margins[row]) + 0.0,
            link="logit",
            # Adding 0.0 turns -0.0 into 0.0: JSON forms disagree on the sign of zero.
            values={
                name: value + 0.0
                for name, value in zip(names, scores.contributions[row].tolist(), strict=True)
            },
        )
        for row in range(len(snapshots))
    ]


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
