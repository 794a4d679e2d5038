"""Counterfactuals: they flip the outcome, and nothing smaller does."""

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.counterfactual import changed_order, find_counterfactuals
from models.decide import LoadedModel, decide, decide_snapshot, load_model
from models.declarations import Actionable
from models.domain import Counterfactual, FeatureValue, FieldChange, Snapshot
from models.errors import KindFileError, ScorerError
from models.kind import Kind
from models.levers import written_values
from models.thresholds import parse_thresholds
from tests.models.examples import DOCUMENT, bundle, loaded, order, small_kind

_ACTIONABLE: dict[str, dict[str, float]] = {
    "stock": {"minimum": 0, "maximum": 400, "scale": 100},
    "rate": {"minimum": 0, "maximum": 1, "step": 0.01, "scale": 0.5},
}


def _kind() -> Kind:
    """Return the small kind with its return rate copied from one field and two levers."""
    features = [dict(feature) for feature in DOCUMENT["features"]]
    features[0] = {
        **{k: v for k, v in features[0].items() if k not in {"function", "inputs", "params"}},
        "source": "rate",
        "actionable": _ACTIONABLE["rate"],
    }
    features[1] = {**features[1], "actionable": _ACTIONABLE["stock"]}
    request = [*DOCUMENT["request"], {"path": "rate", "type": "number"}]
    return small_kind(features=features, request=request)


@cache
def _model() -> LoadedModel:
    made = replace(bundle(), kind=_kind())
    return load_model(made, loaded().model_ref, made.kind.policy, loaded().policy_ref)


def _clock() -> float:
    return 0.0


def _find(**changes: Any) -> tuple[str, tuple[Counterfactual, ...], bytes]:  # noqa: ANN401 - any JSON value
    body = order(**changes)
    decision = decide(_model(), body, _clock)
    found = find_counterfactuals(_model(), body, decision.snapshot, decision.verdict)
    return decision.verdict.outcome, found, body


def _outcome(rate: float, stock: float) -> str:
    features: dict[str, FeatureValue] = {
        "return_rate": rate,
        "stock": stock,
        "express": None,
        "channel": None,
    }
    snapshot = Snapshot(features, {"rule_since": None, "pieces": None})
    return decide_snapshot(_model(), snapshot).outcome


def test_an_acceptance_needs_none() -> None:
    outcome, found, _ = _find(rate=0.0, stock=190)
    assert outcome == "accept"
    assert found == ()


def test_texts_name_what_to_change_in_both_languages() -> None:
    outcome, found, _ = _find(rate=0.3, stock=30)
    assert outcome != "accept"
    first = found[0]
    assert first.outcome == "accept"
    (name, change), *_ = first.changes.items()
    assert name in {"stock", "return_rate"}
    assert f"{change.to:g}" in first.text.zh
    assert first.text.en.endswith("the outcome would be: accept")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100), st.integers(0, 200))
def test_each_one_shown_flips_the_outcome(rate: int, stock: int) -> None:
    """Posting the changed order back gives the outcome that was promised."""
    before, found, body = _find(rate=rate / 100, stock=stock)
    for counterfactual in found:
        after = decide(_model(), changed_order(body, counterfactual.changes), _clock)
        assert after.verdict.outcome == counterfactual.outcome != before


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 100), st.integers(0, 200))
def test_no_smaller_single_change_exists(rate: int, stock: int) -> None:
    """Trying every value that may be written finds no smaller change of the same feature."""
    before, found, _ = _find(rate=rate / 100, stock=stock)
    if before == "accept":
        return
    target = found[0].outcome if found else "accept"
    stocks = [s for s in range(401) if _outcome(rate / 100, s) == target]
    rates = [r for r in range(101) if _outcome(r / 100, stock) == target]
    shown = {
        next(iter(one.changes)): next(iter(one.changes.values()))
        for one in found
        if len(one.changes) == 1
    }
    assert bool(stocks) == ("stock" in shown)
    assert bool(rates) == ("return_rate" in shown)
    if stocks:
        assert abs(shown["stock"].to - stock) == min(abs(s - stock) for s in stocks)
    if rates:
        nearest = min(abs(r - rate) for r in rates) / 100
        assert abs(shown["return_rate"].to - rate / 100) == pytest.approx(nearest)


def test_two_changes_are_found_when_one_is_not_enough() -> None:
    """A pair is the smallest in the declared scales; an exhaustive search agrees."""
    model = _model()
    features = list(model.kind.features)
    narrow = {"return_rate": (0.5, 1.0), "stock": (0.0, 60.0)}
    limited = [
        feature
        if feature.actionable is None
        else feature.model_copy(
            update={
                "actionable": feature.actionable.model_copy(
                    update=dict(zip(("minimum", "maximum"), narrow[feature.name], strict=True))
                )
            }
        )
        for feature in features
    ]
    # Between what both levers reach together and what each reaches alone.
    together, *alone = (_probability(r, s) for r, s in [(0.5, 60), (0.5, 12), (0.9, 60)])
    cut = (together + min(alone)) / 2
    assert together < cut
    strict = model.policy.policy.model_copy(update={"review_at": cut, "adverse_at": cut})
    made = replace(
        bundle(), kind=model.kind.model_copy(update={"features": tuple(limited), "policy": strict})
    )
    narrowed = load_model(made, loaded().model_ref, strict, loaded().policy_ref)
    pairs = 0
    for rate, stock in [(1.0, 0), (1.0, 5), (0.95, 0), (0.9, 2), (1.0, 12)]:
        body = order(rate=rate, stock=stock)
        decision = decide(narrowed, body, _clock)
        found = find_counterfactuals(narrowed, body, decision.snapshot, decision.verdict)
        for one in found:
            if len(one.changes) != 2:
                continue
            pairs += 1
            size = sum(
                abs(change.to - change.present) / _ACTIONABLE[change.field]["scale"]
                for change in one.changes.values()
            )
            best = _exhaustive(narrowed, rate, stock, one.outcome)
            assert size == pytest.approx(best)
    assert pairs > 0


def _probability(rate: float, stock: float) -> float:
    row = np.array([(rate, stock, np.nan, np.nan)])
    return _model().calibration.probability(float(_model().scorer.margins(row)[0]))


def _exhaustive(model: LoadedModel, rate: float, stock: float, target: str) -> float:
    rates = [r / 100 for r in range(50, 101) if r / 100 != rate]
    stocks = [float(s) for s in range(61) if s != stock]
    grid = np.array([(r, s, np.nan, np.nan) for r in rates for s in stocks])
    margins = model.scorer.margins(grid).tolist()
    limit = {"accept": model.policy.policy.review_at, "review": model.policy.policy.adverse_at}
    sizes: list[float] = [
        abs(row[0] - rate) / 0.5 + abs(row[1] - stock) / 100
        for row, margin in zip(grid.tolist(), margins, strict=True)
        if model.calibration.probability(margin) < limit[target]
    ]
    return min(sizes)


def test_only_numbers_copied_from_one_field_are_actionable() -> None:
    features = [dict(feature) for feature in DOCUMENT["features"]]
    features[0]["actionable"] = _ACTIONABLE["rate"]
    with pytest.raises(KindFileError, match="is actionable"):
        small_kind(features=features)


@pytest.mark.parametrize(
    ("feature", "field", "message"),
    [
        ({"step": 0.5}, {"type": "integer"}, "whole numbers"),
        ({"minimum": -1}, {"minimum": 0}, "whole range"),
        ({"maximum": 1001}, {"maximum": 1000}, "whole range"),
        ({}, {"type": "boolean"}, "not a number"),
    ],
)
def test_what_is_written_must_fit_the_request(
    feature: dict[str, float], field: dict[str, Any], message: str
) -> None:
    features = [dict(one) for one in DOCUMENT["features"]]
    features[1] = {**features[1], "actionable": {**_ACTIONABLE["stock"], **feature}}
    request = [
        {"path": "stock", "type": "number", **field} if one["path"] == "stock" else one
        for one in DOCUMENT["request"]
    ]
    with pytest.raises(KindFileError, match=message):
        small_kind(features=features, request=request)


def test_a_field_that_another_value_reads_is_not_actionable() -> None:
    features = [dict(feature) for feature in DOCUMENT["features"]]
    features[1] = {**features[1], "actionable": _ACTIONABLE["stock"]}
    context = [*DOCUMENT["context"], {"name": "again", "source": "stock"}]
    with pytest.raises(KindFileError, match="reads its field too"):
        small_kind(features=features, context=context)


@pytest.mark.parametrize(
    ("present", "points", "values"),
    [
        (5.0, [-math.inf, 2.5, 7.5, math.inf], (2.0, 8.0)),
        (5.0, [5.0], (6.0,)),
        (5.0, [4.0], (4.0,)),
        (5.0, [1e-35, 0.4], (0.0,)),
        (9.0, [10.0, 11.0], ()),
    ],
)
def test_written_values_cross_their_split_points(
    present: float, points: list[float], values: tuple[float, ...]
) -> None:
    assert written_values(present, points, Actionable(minimum=0, maximum=10)) == values


@given(st.integers(1, 99), st.integers(0, 100))
def test_a_split_point_on_the_grid_is_crossed(point: int, present: int) -> None:
    """A split point that is itself a written value is reached from above and left from below."""
    grid = Actionable(minimum=0, maximum=2, step=0.01)
    (value,) = written_values(present / 100, [point / 100], grid) or (None,)
    if present / 100 > point / 100:
        assert value == point / 100
    else:
        assert value == pytest.approx((point + 1) / 100)


def test_the_changed_order_keeps_everything_else() -> None:
    body = orjson.dumps({"a": {"b": 1.5, "c": "x"}, "d": [1]})
    changed = changed_order(body, {"b": FieldChange("a.b", 1.5, 0.25)})
    assert orjson.loads(changed) == {"a": {"b": 0.25, "c": "x"}, "d": [1]}


def test_a_broken_model_text_is_refused() -> None:
    with pytest.raises(ScorerError, match="different lengths"):
        parse_thresholds("split_feature=0 1\nthreshold=1\ndecision_type=2\n", 2)
