"""Every counterfactual that is shown flips the outcome when it is posted back, and none is smaller.

Simulated orders of a seed that no model has seen are posted to the real endpoint, then every whole
order that an answer shows. What is smallest is checked by trying every value that may be written,
through the whole path, without the search's own shortcuts.
"""

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Final, TypeAlias

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from models.counterfactual import changed_order
from models.decide import decide_cases
from models.declarations import Feature
from models.domain import FieldChange
from service.answers import JsonObject
from service.app import create_app
from service.auth import Role
from service.settings import Settings
from service.usecases.cases import read_case
from service.usecases.keys import create_key
from service.usecases.records import read_object
from service.wiring import Platform, open_platform
from tests.journeys.service_process import candor
from tests.journeys.small_models import publish_built_in
from training.simulator import simulate

_SEED: Final = 7_919
_KINDS: Final = ("admission", "risk")
_LINES_A_CALL: Final = 200
_MOST_SHOWN: Final = 3
# Sizes are sums of quotients: two ways to the same change may differ in the last digit.
_TOLERANCE: Final = 1e-9
Values: TypeAlias = Mapping[str, float]
Decided: TypeAlias = tuple[Values, str]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done.

    Parameters
    ----------
    shown
        Counterfactuals to post back, by kind.
    searched
        Orders for each kind whose answer is held against an exhaustive search.
    most_tried
        An order is not searched when more whole orders would have to be decided for it.
    """

    shown: dict[str, int]
    searched: int
    most_tried: int


@dataclass(slots=True)
class Seen:
    """What was posted, answered and timed."""

    asked: list[tuple[JsonObject, JsonObject]] = field(default_factory=list)
    shown: int = 0
    posted: int = 0


_FULL: Final = Size({"admission": 1_500, "risk": 500}, 25, 6_000)
_SHORT: Final = Size({"admission": 40, "risk": 8}, 1, 300)


@pytest.mark.trial
def test_two_thousand_counterfactuals_flip_and_none_is_smaller(settings: Settings) -> None:
    """With the models that `candor train` makes, and the policies that ship."""
    for kind in _KINDS:
        subprocess.run(candor("train", kind, "--var", str(settings.var)), check=True)
    _walk(settings, _FULL)


def test_counterfactuals_flip_and_none_is_smaller_in_short(settings: Settings) -> None:
    """The same with small models and some dozens."""
    with open_platform(settings) as platform:
        for kind in _KINDS:
            publish_built_in(platform, kind)
    _walk(settings, _SHORT)


def _walk(settings: Settings, size: Size) -> None:
    with _serving(settings) as (client, platform):
        for kind in _KINDS:
            seen = _post_until(client, kind, size.shown[kind])
            _report(kind, seen)
            assert seen.shown >= size.shown[kind]
            _check_smallest(platform, kind, seen, size)


@contextmanager
def _serving(settings: Settings) -> Iterator[tuple[TestClient, Platform]]:
    with open_platform(settings) as platform:
        key = create_key(platform, "oms", Role.OMS, "trial")[1]
    client = TestClient(
        create_app(settings),
        raise_server_exceptions=False,
        headers={"Authorization": f"Bearer {key}", "Accept-Language": "en"},
    )
    with client:
        yield client, client.app.state.platform  # type: ignore[attr-defined]  # typed as ASGI


def _post_until(client: TestClient, kind: str, wanted: int) -> Seen:
    """Post unseen orders until enough counterfactuals were shown, and each of these back."""
    seen = Seen()
    # Some twenty orders of risk for one counterfactual: people can change little there.
    orders = simulate(kind, wanted * (30 if kind == "risk" else 6), _SEED).orders
    # The simulator's orders rise in time: an even draw sees all seasons.
    drawn = np.random.default_rng(_SEED).permutation(len(orders)).tolist()
    for begin in range(0, len(drawn), _LINES_A_CALL):
        posted = [orders[place] for place in drawn[begin : begin + _LINES_A_CALL]]
        seen.posted += len(posted)
        for order, answer in zip(posted, _post_batch(client, kind, posted), strict=True):
            seen.asked.append((order, answer))
            for shown in _objects(answer["counterfactuals"]):
                _check_posted_back(client, kind, answer, shown)
                seen.shown += 1
        if seen.shown >= wanted:
            break
    return seen


def _post_batch(client: TestClient, kind: str, orders: Sequence[JsonObject]) -> list[JsonObject]:
    answer = client.post(
        f"/v1/decisions/{kind}/batch",
        content=b"\n".join(orjson.dumps(order) for order in orders) + b"\n",
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 200, answer.text
    answers = [read_object(orjson.loads(line)) for line in answer.content.splitlines()]
    assert all("outcome" in one for one in answers)
    return answers


def _check_posted_back(
    client: TestClient, kind: str, answer: JsonObject, shown: JsonObject
) -> None:
    """The whole order that was shown gets the outcome that was named, and differs as said."""
    assert shown["outcome"] != answer["outcome"]
    after = client.post(f"/v1/decisions/{kind}", content=orjson.dumps(shown["order"]))
    assert after.status_code == 200, after.text
    said = read_object(after.json())
    assert said["outcome"] == shown["outcome"], shown
    before, now = read_object(answer["features"]), read_object(said["features"])
    changes = read_object(shown["changes"])
    assert {name for name in before if before[name] != now[name]} == set(changes)
    for name, change in changes.items():
        assert (before[name], now[name]) == tuple(read_object(change).values())


@dataclass(frozen=True, slots=True)
class _Tried:
    """Whole orders with other values, decided."""

    platform: Platform
    kind: str
    order: JsonObject
    present: Values
    levers: dict[str, Feature]

    def size(self, values: Values) -> float:
        """Return how large a change is, in the kind's scales."""
        return math.fsum(
            abs(value - self.present[name]) / self._scale(name) for name, value in values.items()
        )

    def written(self, name: str) -> list[float]:
        """Return every value that may be written, but the present one."""
        actionable = self.levers[name].actionable
        assert actionable is not None
        count = round((actionable.maximum - actionable.minimum) / actionable.step)
        values = [round(actionable.minimum + n * actionable.step, 6) for n in range(count + 1)]
        return [value for value in values if value != self.present[name]]

    def outcomes(self, changes: Sequence[Values]) -> list[str]:
        """Decide the order with each of these changes, by the whole path."""
        model, body = self.platform.live.get(self.kind), orjson.dumps(self.order)
        cases = [
            read_case(self.platform, model, changed_order(body, self._fields(values)))
            for values in changes
        ]
        decisions = decide_cases(model, [case.case for case in cases], lambda: 0.0, 0.0)
        return [decision.verdict.outcome for decision in decisions]

    def _scale(self, name: str) -> float:
        actionable = self.levers[name].actionable
        assert actionable is not None
        return actionable.scale

    def _fields(self, values: Values) -> dict[str, FieldChange]:
        return {
            name: FieldChange(str(self.levers[name].source), self.present[name], value)
            for name, value in values.items()
        }


def _check_smallest(platform: Platform, kind: str, seen: Seen, size: Size) -> None:
    """Hold some answers of each sort (no change, one, two) against trying everything."""
    model = platform.live.get(kind)
    favourable = model.kind.outcomes.favourable.code
    left = {0: size.searched, 1: size.searched, 2: size.searched}
    for order, answer in seen.asked:
        if answer["outcome"] == favourable:
            continue
        shown = [_changed(one) for one in _objects(answer["counterfactuals"])]
        sort = max((len(values) for values in shown), default=0)
        if left[sort] == 0:
            continue
        features = read_object(answer["features"])
        levers = {
            feature.name: feature
            for feature in model.kind.features
            if feature.actionable is not None and isinstance(features[feature.name], float | int)
        }
        present = {name: _number(features[name]) for name in levers}
        tried = _Tried(platform, kind, order, present, levers)
        if _check_one(tried, answer, shown, size.most_tried):
            left[sort] -= 1
    _print(f"{kind}: searched {({sort: size.searched - n for sort, n in left.items()})}")
    assert left[1] == 0


def _check_one(
    tried: _Tried, answer: JsonObject, shown: Sequence[Values], most_tried: int
) -> bool:
    """Tell whether one answer could be held against everything that may be written."""
    # 1. Every single change, and which outcomes count: those that the answer looked for in the end.
    everything = {name: _decide_all(tried, (name,), math.inf) for name in tried.levers}
    targets = _targets(tried, answer, everything.values())
    # 2. One change: for each lever the smallest, in order, and no other.
    best = {name: _smallest(tried, decided, targets) for name, decided in everything.items()}
    alone = sorted((found for found in best.values() if found is not None), key=tried.size)
    ones = [values for values in shown if len(values) == 1]
    assert len(ones) == min(len(alone), _MOST_SHOWN)
    for found, values in zip(alone, ones, strict=False):
        assert tried.size(values) == pytest.approx(tried.size(found), abs=_TOLERANCE)
        assert tried.size(values) == pytest.approx(
            tried.size(best[next(iter(values))] or {}), abs=_TOLERANCE
        )
    # 3. Two changes: none smaller than the largest shown, unless one alone is enough.
    twos = [values for values in shown if len(values) == 2]
    if not twos:
        return True
    pairs = list(combinations([name for name, found in best.items() if found is None], 2))
    limit = max(tried.size(values) for values in twos)
    if sum(len(_within(tried, pair, limit)) for pair in pairs) > most_tried:
        return False
    found_pairs = [_smallest(tried, _decide_all(tried, pair, limit), targets) for pair in pairs]
    sizes = sorted(tried.size(found) for found in found_pairs if found is not None)
    assert [tried.size(values) for values in twos] == pytest.approx(
        sizes[: len(twos)], abs=_TOLERANCE
    )
    return True


def _targets(
    tried: _Tried, answer: JsonObject, everything: Iterable[Sequence[Decided]]
) -> set[str]:
    outcomes = tried.platform.live.get(tried.kind).kind.outcomes
    reached = {str(one["outcome"]) for one in _objects(answer["counterfactuals"])}
    favourable = {outcomes.favourable.code}
    if reached & favourable or answer["outcome"] == outcomes.review.code:
        return favourable
    # Nothing leads from a refusal to yes, so what leads to a person is shown.
    assert all(outcome not in favourable for one in everything for _, outcome in one)
    return favourable | {outcomes.review.code}


def _decide_all(tried: _Tried, names: tuple[str, ...], limit: float) -> list[Decided]:
    """Decide with every change of exactly these levers that may be written, up to a size."""
    changes = _within(tried, names, limit)
    return list(zip(changes, tried.outcomes(changes), strict=True))


def _smallest(tried: _Tried, decided: Sequence[Decided], targets: set[str]) -> Values | None:
    found = [values for values, outcome in decided if outcome in targets]
    return min(found, key=tried.size, default=None)


def _within(tried: _Tried, names: tuple[str, ...], limit: float) -> list[Values]:
    changes = (
        dict(zip(names, values, strict=True))
        for values in product(*(tried.written(name) for name in names))
    )
    return [values for values in changes if tried.size(values) <= limit + _TOLERANCE]


def _changed(shown: JsonObject) -> Values:
    changes = read_object(shown["changes"])
    return {name: _number(read_object(change)["to"]) for name, change in changes.items()}


def _report(kind: str, seen: Seen) -> None:
    outcomes = Counter(str(answer["outcome"]) for _, answer in seen.asked)
    counts = Counter(
        (str(answer["outcome"]), len(_objects(answer["counterfactuals"])))
        for _, answer in seen.asked
    )
    changed = Counter(
        len(read_object(shown["changes"]))
        for _, answer in seen.asked
        for shown in _objects(answer["counterfactuals"])
    )
    favourable = {"accept", "pass"}
    times = [
        _number(read_object(answer["timings_ms"])["counterfactuals"])
        for _, answer in seen.asked
        if answer["outcome"] not in favourable
    ]
    median, late = np.percentile(times, [50, 95])
    _print(f"\n{kind}: {seen.posted} orders, {dict(outcomes)}")
    _print(f"{kind}: {seen.shown} counterfactuals flipped, by changed features {dict(changed)}")
    _print(f"{kind}: shown per order {({f'{o}:{n}': c for (o, n), c in sorted(counts.items())})}")
    _print(f"{kind}: timings_ms.counterfactuals median {median:.1f}, p95 {late:.1f} ({len(times)})")


def _objects(value: object) -> list[JsonObject]:
    assert isinstance(value, list)
    return [read_object(one) for one in value]


def _number(value: object) -> float:
    assert isinstance(value, (int, float))
    return float(value)


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")
