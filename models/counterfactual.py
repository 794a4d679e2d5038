"""The smallest changes that somebody could make for another outcome.

Only features that the kind declares actionable are changed, within their ranges and steps; facts
that nobody can act on and protected features never are. The search is exact, not sampled: the
model is constant between split points, so the nearest written value in each interval stands for
all of it. Fewer changed features come first, then the smaller change, measured in the kind's
scales. Every result was decided again by the whole path, policy included, before it is shown.
"""

import math
from dataclasses import dataclass, replace
from itertools import combinations

import orjson

from models.conclude import apply_policy, outcome_codes, outcome_labels
from models.decide import Clock, LoadedModel, encode
from models.decision import Decision
from models.domain import Counterfactual, FieldChange, Json, Snapshot, Text, Verdict
from models.levers import Lever, find_levers
from models.policy import Level, fits_set, strictest
from models.scorer import Matrix
from models.smallest_change import Levers, Reach, Trial, highest_margin, reachable, reaching_trials
from models.surroundings import Surroundings
from models.wording import format_value

_MAX_SHOWN = 3
_MAX_CHANGED = 2
_NO_SURROUNDINGS = Surroundings()


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
    names = [lever.feature.name for lever in levers]
    moves_thresholds = model.policy.thresholds_depend_on(names)
    # Rules that read nothing that could move fire whatever is changed.
    floor = strictest(Level.FAVOURABLE, model.policy.fixed_hits(verdict.rules, names))
    row = encode(model, [snapshot])
    for target in (Level.FAVOURABLE, Level.REVIEW):
        if target is Level.REVIEW and verdict.outcome == codes.review.code:
            break
        if floor > target:
            continue
        limits = None if moves_thresholds else verdict.thresholds
        search = _Search(model, body, snapshot, row, surroundings, limits, floor, target)
        found = _search(search, levers)
        if found:
            return found
    return ()


@dataclass(frozen=True, slots=True)
class _Search:
    """What is looked for: `target`, or milder; `thresholds` is None when they move too."""

    model: LoadedModel
    body: bytes
    snapshot: Snapshot
    row: Matrix
    surroundings: Surroundings
    thresholds: tuple[float, float] | None
    floor: Level
    target: Level


def _search(search: _Search, levers: list[Lever]) -> tuple[Counterfactual, ...]:
    highest = highest_margin(lambda margin: _may_reach(search, margin))
    reach = Reach(search.model.scorer, search.row, highest)
    shown: list[Counterfactual] = []
    enough: set[str] = set()
    for changed in range(1, min(_MAX_CHANGED, len(levers)) + 1):
        # A lever that is enough alone makes every pair with it a needless change.
        sets = [
            chosen
            for chosen in combinations(levers, changed)
            if not enough.intersection(lever.feature.name for lever in chosen)
        ]
        found = _smallest(search, reach, sets, _MAX_SHOWN - len(shown))
        enough = {lever.feature.name for trial, _ in found for lever in trial.levers}
        shown += [_describe(search, trial, outcome) for trial, outcome in found]
        if len(shown) == _MAX_SHOWN:
            break
    return tuple(shown)


def _smallest(
    search: _Search, reach: Reach, sets: list[Levers], room: int
) -> list[tuple[Trial, str]]:
    """Return the smallest change of each set with its outcome, and of those the `room` smallest."""
    found: list[tuple[Trial, str]] = []
    for chosen in reachable(reach, sets):
        # What is larger than all that will be shown need not be looked at.
        most = found[-1][0].size if len(found) == room else math.inf
        for trial in reaching_trials(reach, chosen, most):
            outcome = _outcome_after(search, trial)
            if outcome is not None:
                found = sorted([*found, (trial, outcome)], key=lambda one: one[0].key())[:room]
                break
    return found


def _may_reach(search: _Search, margin: float) -> bool:
    """Tell whether the target is possible at a margin, before the policy is asked in full."""
    model = search.model
    probability = model.calibration.probability(margin)
    level = max(_level_at(search, probability), search.floor)
    labels = outcome_labels(model, margin, search.surroundings)
    if labels is not None and not fits_set(level, labels):
        level = Level.REVIEW
    return level <= search.target


def _level_at(search: _Search, probability: float) -> Level:
    if search.thresholds is None:
        return search.model.policy.mildest_level(probability)
    review_at, adverse_at = search.thresholds
    if probability >= adverse_at:
        return Level.ADVERSE
    return Level.REVIEW if probability >= review_at else Level.FAVOURABLE


def _outcome_after(search: _Search, trial: Trial) -> str | None:
    """Return what the whole path answers to the order so changed; None when it is not enough.

    Only the reasons are left out: they are told about an outcome and have no part in it.
    """
    model = search.model
    order = model.schema.parse(changed_order(search.body, _changes(trial)))
    changed = model.extractor.snapshot(order.values)
    # What tables say does not change: no look-up reads a field that somebody could change.
    snapshot = Snapshot(changed.features, {**search.snapshot.context, **changed.context})
    # Adding 0.0 turns -0.0 into 0.0, as the decision itself does.
    margin = float(model.scorer.margins(encode(model, [snapshot]))[0]) + 0.0
    level = apply_policy(model, snapshot, margin, search.surroundings).level
    return outcome_codes(model.kind)[level] if level <= search.target else None


def _changes(trial: Trial) -> dict[str, FieldChange]:
    return {
        lever.feature.name: FieldChange(str(lever.feature.source), lever.present, value)
        for lever, value in zip(trial.levers, trial.values, strict=True)
    }


def _describe(search: _Search, trial: Trial, outcome: str) -> Counterfactual:
    changes = _changes(trial)
    return Counterfactual(changes, outcome, _say(search.model, changes, outcome))


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
