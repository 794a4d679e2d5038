"""From a probability and a snapshot to an outcome: thresholds, then rules.

A rule can only make the outcome stricter than the thresholds did.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

from models.condition import Condition, all_hold
from models.domain import Effect, JsonScalar, RuleHit, Text
from models.sentences import Policy, Rule
from models.wording import render_text


class Level(IntEnum):
    """The three answers, from mild to strict."""

    FAVOURABLE = 0
    REVIEW = 1
    ADVERSE = 2


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    rule: Rule
    conditions: tuple[Condition, ...]


class CompiledPolicy:
    """A policy ready to apply.

    Parameters
    ----------
    policy
        Thresholds and rules.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._rules = tuple(_CompiledRule(rule, rule.conditions()) for rule in policy.rules)

    def level(self, probability: float) -> Level:
        """Return what the thresholds say of a calibrated adverse probability."""
        if probability >= self.policy.adverse_at:
            return Level.ADVERSE
        return Level.REVIEW if probability >= self.policy.review_at else Level.FAVOURABLE

    def fired(self, values: dict[str, JsonScalar]) -> tuple[RuleHit, ...]:
        """Return the rules whose conditions hold, with the values that they looked at."""
        return tuple(
            _hit(compiled, self.policy.version, values)
            for compiled in self._rules
            if all_hold(compiled.conditions, values)
        )


def effect_level(effect: Effect) -> Level:
    """Return the mildest answer that an effect allows.

    Examples
    --------
    >>> effect_level(Effect.REVIEW).name
    'REVIEW'
    """
    match effect:
        case Effect.NONE | Effect.EXCLUDE:
            return Level.FAVOURABLE
        case Effect.REVIEW:
            return Level.REVIEW
        case Effect.REJECT:
            return Level.ADVERSE
    assert_never(effect)


def strictest(level: Level, hits: tuple[RuleHit, ...]) -> Level:
    """Return the strictest of the thresholds' answer and the rules'."""
    return max([level, *(effect_level(hit.effect) for hit in hits)])


def _hit(compiled: _CompiledRule, version: str, values: dict[str, JsonScalar]) -> RuleHit:
    rule = compiled.rule
    names = [name for condition in compiled.conditions for name in condition.names()]
    facts = {name: values.get(name) for name in dict.fromkeys([*names, *rule.placeholders()])}
    text = Text(render_text(rule.zh, values), render_text(rule.en, values))
    return RuleHit(rule.id, version, rule.effect, facts, text)
