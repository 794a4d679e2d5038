"""The drill of a node's decision: each factor is changed alone, and named, alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audit.canonical import facts_json
from audit.causes import Factor
from audit.outside_facts import build_outside_facts
from audit.outside_replay import replay_outside
from audit.replay import Replay
from audit.store import Record
from models.domain import PolicyRef
from models.features import Extractor
from models.outside import OutsideModel
from models.policy import CompiledPolicy
from models.policy_document import parse_policy
from tests.audit.sample import logged
from tests.outside import (
    ANSWER,
    decided,
    outside_document,
    outside_model,
    outside_order,
    ready_model,
)

Facts = dict[str, Any]
Plant = Callable[[OutsideModel], OutsideModel]


def replayed(plant: Plant, body: str | None = ANSWER, country: str = "DE") -> Replay:
    facts = facts_json(build_outside_facts(decided(body, country), "oms", b""))
    record = logged(Record(0, "d-1", b"{}", facts, None, 1))
    order = outside_order(country)
    return replay_outside(record, lambda _m, _p: plant(ready_model()), lambda _record: order)


def ran(model: OutsideModel, **parts: str) -> OutsideModel:
    return replace(model, runtime=replace(model.runtime, **parts))


def other_kind(model: OutsideModel, **node: Any) -> OutsideModel:  # noqa: ANN401 - any part
    return replace(outside_model(**node), digest="sha256:ee", policy_ref=model.policy_ref)


def other_features(model: OutsideModel) -> OutsideModel:
    extractor = Extractor(model.kind)
    name, is_category, _ = extractor._features[0]
    extractor._features[0] = (name, is_category, lambda _order: 81.0)
    return replace(model, extractor=extractor)


def other_policy(model: OutsideModel, **changes: Any) -> OutsideModel:  # noqa: ANN401 - any part
    changed = model.policy.policy.model_copy(update=changes)
    return replace(model, policy=CompiledPolicy(changed, model.kind.value_types()))


def strict(model: OutsideModel) -> OutsideModel:
    return other_policy(model, review_at=0.01, adverse_at=0.02)


def named(model: OutsideModel) -> OutsideModel:
    return replace(model, policy_ref=PolicyRef("fragile_parcel", "2", "sha256:22"))


def wrong_output(model: OutsideModel) -> OutsideModel:
    return other_kind(model, output="chance")


DRILL: list[tuple[str, Factor, Plant]] = [
    ("kind", Factor.MODEL, wrong_output),
    ("feature code", Factor.FEATURE_CODE, lambda m: ran(other_features(m), feature_code="x")),
    ("policy", Factor.POLICY, lambda m: named(strict(m))),
    ("policy's library", Factor.LIBRARY, lambda m: ran(strict(m), zen_engine="9", python="3.12")),
    ("reader's library", Factor.LIBRARY, lambda m: ran(other_features(m), python="3.12")),
    ("CPU", Factor.CPU, lambda m: ran(strict(m), cpu="SSE")),
]


@pytest.mark.parametrize(
    ("factor", "plant"), [one[1:] for one in DRILL], ids=[n for n, *_ in DRILL]
)
def test_a_factor_changed_alone_is_named_alone(factor: Factor, plant: Plant) -> None:
    """The node's recorded answer is an input: nothing that it says is a cause."""
    result = replayed(plant)
    assert not result.match
    assert [cause.factor for cause in result.causes] == [factor]


def test_two_factors_are_both_named() -> None:
    result = replayed(lambda m: ran(named(strict(other_features(m))), feature_code="x"))
    assert [cause.factor for cause in result.causes] == [Factor.FEATURE_CODE, Factor.POLICY]


@pytest.mark.parametrize(("body", "country"), [(None, "DE"), ("<html>", "DE"), (ANSWER, "CN")])
def test_without_an_answer_the_policy_is_named_alone(body: str | None, country: str) -> None:
    """Failed, refused or not asked: what was recorded of it stays, whatever judges it now."""
    assert replayed(lambda model: model, body, country).match
    document = outside_document()["policy"]
    document["residency"][0]["id"] = "moved"
    document["rules"][0]["when"] = ["destination_country == 'DE'"]
    policy = parse_policy(document)
    result = replayed(
        lambda m: named(replace(m, policy=CompiledPolicy(policy, m.kind.value_types()))),
        body,
        country,
    )
    assert "/rules/0/id" in {one.path for one in result.differences}
    assert [cause.factor for cause in result.causes] == [Factor.POLICY]


def test_a_request_that_is_made_otherwise_is_the_kind_s() -> None:
    """The answer reads the same, but something else would have been sent."""

    def plant(model: OutsideModel) -> OutsideModel:
        kind = model.kind.model_copy(update={"features": model.kind.features[::-1]})
        return replace(model, kind=kind, digest="sha256:ee")

    result = replayed(plant)
    assert "/call/request_sha256" in {one.path for one in result.differences}
    assert [(one.factor, one.part) for one in result.causes] == [(Factor.MODEL, "kind")]
