"""Thresholds decide, rules only make it stricter."""

import pytest

from models.domain import Effect, RuleHit, Text
from models.policy import CompiledPolicy, Level, effect_level, strictest
from tests.models.examples import small_kind


@pytest.mark.parametrize(
    ("probability", "level"),
    [(0.0, 0), (0.39, 0), (0.4, 1), (0.69, 1), (0.7, 2), (1.0, 2)],
)
def test_thresholds(probability: float, level: int) -> None:
    assert CompiledPolicy(small_kind().policy).level(probability) == level


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("effect", list(Effect))
def test_a_rule_never_makes_it_milder(level: Level, effect: Effect) -> None:
    hit = RuleHit("r", "1", effect, {}, Text("", ""))
    assert strictest(level, (hit,)) >= level
    assert strictest(level, ()) is level
    assert strictest(level, (hit,)) == max(level, effect_level(effect))


def test_a_rule_that_fires_shows_its_values() -> None:
    policy = CompiledPolicy(small_kind().policy)
    (hit,) = policy.fired({"pieces": 120.0, "rule_since": None})
    assert (hit.id, hit.effect, hit.facts) == ("many-pieces", Effect.REVIEW, {"pieces": 120.0})
    assert hit.text == Text("120件", "120 pieces")
    assert policy.fired({"pieces": 100.0}) == ()
