"""The smallest changes that somebody could make for another outcome.

Only features that the kind declares actionable are changed, within their ranges and steps; facts
that nobody can act on and protected features never are. The search is exact, not sampled: the
model is constant between split points, so the nearest written value in each interval stands for
all of it. Fewer changed features come first, then the smaller change, measured in the kind's
scales. Every result was decided again by the whole path, policy included, before it is shown.
"""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeAlias

import numpy as np
import orjson

from models.decide import (
    Clock,
    LoadedModel,
    apply_policy,
    decide_snapshot,
    encode,
    outcome_labels,
)
from models.decision import Decision
from models.domain import Counterfactual, FieldChange, Json, Snapshot, Text, Verdict
from models.levers import Lever, find_levers
from models.policy import Level, PolicyResult, fits_set, strictest
from models.scorer import Matrix
from models.surroundings import Surroundings
from models.wording import format_value

_MAX_SHOWN = 3
_MAX_CHANGED = 2
_FIRST_ROWS = 64
_NO_SURROUNDINGS = Surroundings()


_Levers: TypeAlias = tuple[Lever, ...]


@dataclass(frozen=True, slots=True)
class _Trial:
    """One change: values for some levers, and how large the whole is."""

    size: float
    levers: tuple[Lever, ...]
    values: tuple[float, ...]

    def key(self) -> tuple[float, tuple[str, ...]]:
        """Return what trials of different levers are sorted by."""
        return self.size, tuple(lever.feature.name for lever in self.levers)


def with_counterfactuals(
    model: LoadedModel, body: bytes, decision: Decision, clock: Clock
) -> Decision:
    """Return the decision with its counterfactuals and the time they took.

    Parameters
    ----------
    model
        What decided.
    body
        The order as received.
    decision
        What was decided about it.
    clock
        Seconds, rising.
    """
    started = clock()
    found = find_counterfactuals(
        model, body, decision.snapshot, decision.verdict, decision.surroundings
    )
    taken_ms = round((clock() - started) * 1e3, 3)
    timings = {**decision.timings_ms, "counterfactuals": taken_ms}
    return replace(decision, counterfactuals=found, timings_ms=timings)


def find_counterfactuals(
    model: LoadedModel,
    body: bytes,
    snapshot: Snapshot,
    verdict: Verdict,
    surroundings: Surroundings = _NO_SURROUNDINGS,
) -> tuple[Counterfactual, ...]:
    """Return up to three smallest changes that lead to the favourable outcome.

    Parameters
    ----------
    model
        The model and policy that decided.
    body
        The order as received.
    snapshot, verdict, surroundings
        What was decided about it, and what else it rests on.

    Notes
    -----
    A change of two features is looked for only among combinations in which neither change alone
    is enough. When no such change leads to the favourable outcome, changes that lead from the
    adverse outcome to a review are returned.
    """
    codes = model.kind.outcomes
    if verdict.outcome == codes.favourable.code:
        return ()
    levers = find_levers(model, snapshot)
    row = encode(model, [snapshot])
    present = apply_policy(model, snapshot, verdict.attributions.margin, surroundings)
    names = [lever.feature.name for lever in levers]
    moves = model.policy.thresholds_depend_on(names), model.policy.depends_on(names)
    # Rules that read nothing that could move fire whatever is changed.
    floor = strictest(Level.FAVOURABLE, model.policy.fixed_hits(present.hits, names))
    for target in (Level.FAVOURABLE, Level.REVIEW):
        if target is Level.REVIEW and verdict.outcome == codes.review.code:
            break
        if floor > target:
            continue
        search = _Search(model, body, snapshot, row, surroundings, present, *moves, floor, target)
        found = _search(search, levers)
        if found:
            return found
    return ()


@dataclass(frozen=True, slots=True)
class _Search:
    model: LoadedModel
    body: bytes
    snapshot: Snapshot
    row: Matrix
    surroundings: Surroundings
    present: PolicyResult
    moves_thresholds: bool
    moves_rules: bool
    floor: Level
    target: Level


def _search(search: _Search, levers: list[Lever]) -> tuple[Counterfactual, ...]:
    shown: list[Counterfactual] = []
    enough: set[str] = set()
    for changed in range(1, min(_MAX_CHANGED, len(levers)) + 1):
        # A lever that is enough alone makes every pair with it a needless change.
        sets = [
            chosen
            for chosen in combinations(levers, changed)
            if not enough.intersection(lever.feature.name for lever in chosen)
        ]
        smallest = [_smallest(search, chosen) for chosen in _reachable(search, sets)]
        for trial in sorted((t for t in smallest if t is not None), key=_Trial.key):
            enough.update(lever.feature.name for lever in trial.levers if changed == 1)
            counterfactual = _verified(search, trial)
            if counterfactual is not None and len(shown) < _MAX_SHOWN:
                shown.append(counterfactual)
        if len(shown) == _MAX_SHOWN:
            break
    return tuple(shown)


def _reachable(search: _Search, sets: list[_Levers]) -> list[_Levers]:
    """Drop sets of levers that cannot reach the target however far they are moved.

    The model is monotone in some features; where it is in all of a set, its smallest margin is at
    the ends of their ranges, so one row tells.
    """
    ends = [tuple(lever.best() for lever in chosen) for chosen in sets]
    rows = np.repeat(search.row, len(sets), axis=0)
    for place, (chosen, values) in enumerate(zip(sets, ends, strict=True)):
        for lever, value in zip(chosen, values, strict=True):
            rows[place, lever.column] = value
    margins = search.model.scorer.margins(rows).tolist()
    return [
        chosen
        for chosen, margin in zip(sets, margins, strict=True)
        if any(lever.feature.monotone == 0 for lever in chosen) or _may_reach(search, margin)
    ]


def _smallest(search: _Search, chosen: _Levers) -> _Trial | None:
    """Return the smallest change of exactly these levers that reaches the target."""
    grids = np.meshgrid(*[np.array(lever.values) for lever in chosen], indexing="ij")
    values = np.column_stack([grid.ravel() for grid in grids])
    sizes = np.sum([lever.sizes(values[:, place]) for place, lever in enumerate(chosen)], axis=0)
    order = np.lexsort((*values.T[::-1], sizes))
    start, count = 0, _FIRST_ROWS
    while start < len(order):
        part = order[start : start + count]
        rows = np.repeat(search.row, len(part), axis=0)
        rows[:, [lever.column for lever in chosen]] = values[part]
        margins = search.model.scorer.margins(rows).tolist()
        for place, margin in zip(part.tolist(), margins, strict=True):
            trial = _Trial(float(sizes[place]), chosen, tuple(values[place].tolist()))
            if _may_reach(search, margin) and _passes_policy(search, trial, margin):
                return trial
        start, count = start + count, count * 4
    return None


def _may_reach(search: _Search, margin: float) -> bool:
    """Tell whether the target is possible at a margin, before the policy is asked in full."""
    model, present = search.model, search.present
    probability = model.calibration.probability(margin)
    level = present.level_at(probability)
    if search.moves_thresholds:
        level = model.policy.mildest_level(probability)
    level = max(level, search.floor)
    labels = outcome_labels(model, margin, search.surroundings)
    if labels is not None and not fits_set(level, labels):
        level = Level.REVIEW
    return level <= search.target


def _passes_policy(search: _Search, trial: _Trial, margin: float) -> bool:
    if not search.moves_thresholds and not search.moves_rules:
        return True  # they are those of the order as it is, and were looked at above
    changed = {
        lever.feature.name: value for lever, value in zip(trial.levers, trial.values, strict=True)
    }
    features = {**search.snapshot.features, **changed}
    snapshot = Snapshot(features, search.snapshot.context)
    found = apply_policy(search.model, snapshot, margin, search.surroundings)
    return found.level <= search.target


def _verified(search: _Search, trial: _Trial) -> Counterfactual | None:
    model = search.model
    changes = {
        lever.feature.name: FieldChange(str(lever.feature.source), lever.present, value)
        for lever, value in zip(trial.levers, trial.values, strict=True)
    }
    order = model.schema.parse(changed_order(search.body, changes))
    changed = model.extractor.snapshot(order.values)
    # What tables say does not change: no look-up reads a field that somebody could change.
    context = {**search.snapshot.context, **changed.context}
    verdict = decide_snapshot(model, Snapshot(changed.features, context), search.surroundings)
    if verdict.outcome not in _codes_up_to(model, search.target):
        return None
    return Counterfactual(changes, verdict.outcome, _say(model, changes, verdict.outcome))


def _codes_up_to(model: LoadedModel, target: Level) -> tuple[str, ...]:
    outcomes = model.kind.outcomes
    return (outcomes.favourable.code, outcomes.review.code)[: target + 1]


def changed_order(body: bytes, changes: dict[str, FieldChange]) -> bytes:
    """Return the order with the changed fields written, ready to be posted.

    Examples
    --------
    >>> changed_order(b'{"a":{"b":3}}', {"b": FieldChange("a.b", 3.0, 2.0)})
    b'{"a":{"b":2}}'
    """
    document: dict[str, Json] = orjson.loads(body)
    for change in changes.values():
        *parents, last = change.field.split(".")
        place = document
        for name in parents:
            inner = place[name]
            if not isinstance(inner, dict):  # the value was read from here, so it is an object
                break
            place = inner
        place[last] = int(change.to) if change.to.is_integer() else change.to
    return orjson.dumps(document)


def _say(model: LoadedModel, changes: dict[str, FieldChange], outcome: str) -> Text:
    titles = {feature.name: feature.title for feature in model.kind.features}
    words = {
        code.code: code.title
        for code in (model.kind.outcomes.favourable, model.kind.outcomes.review)
    }
    chinese = [
        f"{titles[name].zh}由{format_value(change.present, None)}"
        f"改为{format_value(change.to, None)}"
        for name, change in changes.items()
    ]
    english = [
        f"{titles[name].en}: {format_value(change.to, None)} "
        f"instead of {format_value(change.present, None)}"
        for name, change in changes.items()
    ]
    return Text(
        f"若{'且'.join(chinese)},结果为{words[outcome].zh}",
        f"With {' and '.join(english)}, the outcome would be: {words[outcome].en}",
    )
