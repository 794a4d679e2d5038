"""Every counterfactual that is shown flips the outcome when it is posted back, and none is smaller.

Simulated orders of a seed that no model has seen are posted to the real endpoint, then every whole
order that an answer shows. What is smallest is checked by trying every value that may be written,
through the whole path, without the search's own shortcuts.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from service.answers import JsonObject
from service.app import create_app
from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.records import read_object
from service.wiring import Platform, open_platform
from tests.journeys.service_process import candor
from tests.journeys.small_models import publish_built_in
from tests.trials.every_change import is_smallest, number, objects, read_changes
from training.simulator import simulate

_SEED: Final = 7_919
_KINDS: Final = ("admission", "risk")
_LINES_A_CALL: Final = 200


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done.

    Parameters
    ----------
    shown
        Counterfactuals to post back, by kind.
    searched
        How many orders of each kind are held against an exhaustive search, by how many features
        the answer changes at most.
    most_tried
        An order is not searched when more whole orders would have to be decided for it.
    """

    shown: dict[str, int]
    searched: dict[int, int]
    most_tried: int


@dataclass(slots=True)
class Seen:
    """What was posted, answered and timed."""

    asked: list[tuple[JsonObject, JsonObject]] = field(default_factory=list)
    shown: int = 0
    posted: int = 0


_FULL: Final = Size({"admission": 1_500, "risk": 500}, {0: 5, 1: 15, 2: 15}, 2_000)
_SHORT: Final = Size({"admission": 40, "risk": 8}, {0: 0, 1: 1, 2: 1}, 200)


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
    # As it is served: what is live is not read again for every order.
    served = settings.model_copy(update={"model_refresh_seconds": 1.0})
    client = TestClient(
        create_app(served),
        raise_server_exceptions=False,
        headers={"Authorization": f"Bearer {key}", "Accept-Language": "en"},
    )
    with client:
        yield client, client.app.state.platform  # type: ignore[attr-defined]  # typed as ASGI


def _post_until(client: TestClient, kind: str, wanted: int) -> Seen:
    """Post unseen orders until enough counterfactuals were shown, and each of these back."""
    seen = Seen()
    # Some twenty orders of risk for one counterfactual: people can change little there.
    orders = simulate(kind, wanted * (80 if kind == "risk" else 10), _SEED).orders
    # The simulator's orders rise in time: an even draw sees all seasons.
    drawn = np.random.default_rng(_SEED).permutation(len(orders)).tolist()
    for begin in range(0, len(drawn), _LINES_A_CALL):
        posted = [orders[place] for place in drawn[begin : begin + _LINES_A_CALL]]
        seen.posted += len(posted)
        for order, answer in zip(posted, _post_batch(client, kind, posted), strict=True):
            seen.asked.append((order, answer))
            for shown in objects(answer["counterfactuals"]):
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
    """Post the whole order that was shown: it gets the outcome named, and differs as said."""
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


def _check_smallest(platform: Platform, kind: str, seen: Seen, size: Size) -> None:
    """Hold some answers of each sort (no change, one, two) against trying everything."""
    favourable = platform.live.get(kind).kind.outcomes.favourable.code
    left = dict(size.searched)
    for order, answer in seen.asked:
        if answer["outcome"] == favourable:
            continue
        shown = [read_changes(one) for one in objects(answer["counterfactuals"])]
        sort = max((len(values) for values in shown), default=0)
        if left[sort] and is_smallest(platform, order, answer, size.most_tried):
            left[sort] -= 1
    _print(f"{kind}: searched { ({sort: size.searched[sort] - n for sort, n in left.items()}) }")
    assert left[1] == 0


def _report(kind: str, seen: Seen) -> None:
    outcomes = Counter(str(answer["outcome"]) for _, answer in seen.asked)
    counts = Counter(
        (str(answer["outcome"]), len(objects(answer["counterfactuals"])))
        for _, answer in seen.asked
    )
    changed = Counter(
        len(read_object(shown["changes"]))
        for _, answer in seen.asked
        for shown in objects(answer["counterfactuals"])
    )
    favourable = {"accept", "pass"}
    times = [
        number(read_object(answer["timings_ms"])["counterfactuals"])
        for _, answer in seen.asked
        if answer["outcome"] not in favourable
    ]
    median, late = np.percentile(times, [50, 95])
    _print(f"\n{kind}: {seen.posted} orders, {dict(outcomes)}")
    _print(f"{kind}: {seen.shown} counterfactuals flipped, by changed features {dict(changed)}")
    _print(f"{kind}: shown per order { ({f'{o}:{n}': c for (o, n), c in sorted(counts.items())}) }")
    _print(f"{kind}: timings_ms.counterfactuals median {median:.1f}, p95 {late:.1f} ({len(times)})")


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")
