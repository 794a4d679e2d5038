"""From a probability and an order's values to an outcome: thresholds, rules, caps, precedence.

Pure and deterministic: counts, dates and reference data come in as arguments. Rules kept here: a
rule can only make the outcome stricter unless an approved exception that has not expired lifts it;
every rule that fired is told with the values that it looked at, also when it was lifted; what
cannot be evaluated asks a person and never loses an order.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from models.approval import Approvals
from models.caps import CapKey, CapUse, CompiledCap
from models.condition import Condition, all_hold
from models.domain import Effect, JsonScalar, RuleHit, Side, Text, ValueType
from models.errors import PolicyError
from models.policy_document import (
    DERIVED_VALUES,
    POLICY_FAILED,
    REFERENCE_STALE,
    Policy,
    Rule,
    verify_known,
)
from models.policy_result import PolicyInputs, PolicyResult, derived_values
from models.precedence import SET_VOICE, Level, Opinion, effect_level, settle
from models.residency import CompiledResidency
from models.rulebook import Rulebook
from models.surroundings import StaleReference
from models.wording import render_text

__all__ = [
    "CompiledPolicy",
    "Level",
    "PolicyInputs",
    "PolicyResult",
    "effect_level",
    "fits_set",
    "strictest",
]

_FAILED = Text(
    "策略未能完整计算,需人工复核", "the policy could not be evaluated in full, so a person decides"
)
_LABELS = {Level.FAVOURABLE: Side.FAVOURABLE, Level.ADVERSE: Side.ADVERSE}


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    rule: Rule
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class _Spoken:
    voice: Literal["rule", "cap", "reference"]
    hit: RuleHit


class CompiledPolicy:
    """A policy ready to apply.

    Parameters
    ----------
    policy
        Thresholds and rules.
    known
        Values that an order of the kind has, with their types (`Kind.value_types`); None when
        nothing is known of the kind, which a policy with a decision graph does not allow.

    Raises
    ------
    PolicyError
        When the graph, a cap or an exception does not fit; it names node, row and column.
    """

    def __init__(self, policy: Policy, known: Mapping[str, ValueType] | None = None) -> None:
        self.policy = policy
        self._rules = tuple(_CompiledRule(rule, rule.conditions()) for rule in policy.rules)
        self._caps = tuple(CompiledCap(cap) for cap in policy.caps)
        self._residency = tuple(CompiledResidency(r, policy.version) for r in policy.residency)
        self._approvals = Approvals(policy.exceptions)
        derived: dict[str, ValueType] = dict.fromkeys(DERIVED_VALUES, "number")
        all_known = None if known is None else {**derived, **known}
        self._rulebook = (
            None if policy.decision is None else Rulebook(policy.decision, all_known or derived)
        )
        self._check_ids()
        if all_known is not None:
            self._check_names(all_known)

    def _check_ids(self) -> None:
        rows = self._rulebook.checked.rows if self._rulebook is not None else {}
        own = [rule.id for rule in self.policy.rules] + [cap.id for cap in self.policy.caps]
        ids = [*own, *rows, REFERENCE_STALE]
        twice = sorted({one for one in ids if (*ids, POLICY_FAILED).count(one) > 1})
        if twice:
            raise PolicyError(f"rule named twice: {', '.join(twice)}")
        self._approvals.verify_rules(ids)

    def _check_names(self, known: Mapping[str, ValueType]) -> None:
        for compiled in self._rules:
            names = _names(compiled.conditions, compiled.rule)
            verify_known(f"rule {compiled.rule.id!r}", names, known)
        for cap in self._caps:
            cap.verify_names(known)
        for residency in self._residency:
            residency.verify_names(known)
        self._approvals.verify_names(known)

    def level(self, probability: float) -> Level:
        """Return what the policy's own thresholds say of a calibrated adverse probability."""
        return _level(probability, self.policy.review_at, self.policy.adverse_at)

    def constants(self, name: str) -> tuple[float, ...]:
        """Return the numbers that the policy compares a value with."""
        policy = self.policy
        conditions = [c for rule in policy.rules for c in rule.conditions()]
        conditions += [c for cap in policy.caps for c in cap.conditions()]
        conditions += [c for granted in policy.exceptions for c in granted.conditions()]
        compared = [
            condition.constant
            for condition in conditions
            if condition.name == name and isinstance(condition.constant, float)
        ]
        if self._rulebook is not None:
            graph = self._rulebook.checked
            compared += graph.constants if name in graph.names else ()
        return tuple(sorted(set(compared)))

    def thresholds_depend_on(self, names: Collection[str]) -> bool:
        """Tell whether the thresholds follow from these values or from the model's answer."""
        if self._rulebook is None:
            return False
        read = self._rulebook.checked.threshold_names
        return not {*names, *DERIVED_VALUES}.isdisjoint(read)

    def depends_on(self, names: Collection[str]) -> bool:
        """Tell whether anything here reads these values or what follows from the model's answer."""
        policy = self.policy
        conditions = [c for rule in policy.rules for c in rule.conditions()]
        conditions += [c for cap in policy.caps for c in cap.conditions()]
        conditions += [c for granted in policy.exceptions for c in granted.conditions()]
        read = {name for condition in conditions for name in condition.names()}
        read |= {cap.tier for cap in policy.caps if cap.tier is not None}
        if self._rulebook is not None:
            read |= set(self._rulebook.checked.names)
        return not read.isdisjoint({*names, *DERIVED_VALUES})

    def fixed_hits(self, hits: tuple[RuleHit, ...], names: Collection[str]) -> tuple[RuleHit, ...]:
        """Return those of the rules that fired which fire whatever these values are.

        Parameters
        ----------
        hits
            As `apply` gave them.
        names
            Values that may change, and with them the model's answer.
        """
        moving = {*names, *DERIVED_VALUES}
        granted = [c for one in self.policy.exceptions for c in one.conditions()]
        if any(name in moving for condition in granted for name in condition.names()):
            return ()
        return tuple(hit for hit in hits if moving.isdisjoint(hit.facts))

    def mildest_level(self, probability: float) -> Level:
        """Return a level that no order with this probability can be below.

        The graph's thresholds depend on the order, so the loosest of all rows are taken.
        """
        rows = () if self._rulebook is None else self._rulebook.checked.thresholds
        review_at = max([self.policy.review_at, *(row.review_at for row in rows)])
        adverse_at = max([self.policy.adverse_at, *(row.adverse_at for row in rows)])
        return _level(probability, review_at, adverse_at)

    def fired(self, values: Mapping[str, JsonScalar]) -> tuple[RuleHit, ...]:
        """Return the rules of `rules` whose conditions hold, with the values they looked at.

        Neither the decision graph, caps nor exceptions are looked at; `apply` does.
        """
        return tuple(self._fired(values))

    def cap_keys(
        self, values: Mapping[str, JsonScalar], placed_at: datetime | None
    ) -> tuple[CapKey, ...]:
        """Return the counters whose counts `apply` needs for this order."""
        keys = (cap.key(values, placed_at) for cap in self._caps)
        return tuple(key for key in keys if key is not None)

    def residency(
        self,
        values: Mapping[str, JsonScalar],
        node_marks: Collection[str],
        data: Literal["features", "personal"],
    ) -> tuple[RuleHit, ...]:
        """Return why this data may not be sent to a node; empty when it may.

        Parameters
        ----------
        values
            The order's values.
        node_marks
            What the node is marked as: ``domestic``.
        data
            What would be sent.
        """
        refusals = (rule.refusal(values, node_marks, data) for rule in self._residency)
        return tuple(refusal for refusal in refusals if refusal is not None)

    def apply(self, inputs: PolicyInputs) -> PolicyResult:
        """Return the outcome with everything that led to it.

        Examples
        --------
        >>> policy = Policy(name="a", version="1", review_at=0.3, adverse_at=0.6)
        >>> CompiledPolicy(policy).apply(PolicyInputs(0.4, (0.3, 0.5), {})).level.name
        'REVIEW'
        """
        # 1. Thresholds and rules of the decision graph, over the order's values.
        values = {**derived_values(inputs), **inputs.values}
        review_at, adverse_at = self.policy.review_at, self.policy.adverse_at
        spoken = [_Spoken("rule", hit) for hit in self._fired(values)]
        if self._rulebook is not None:
            answer = self._rulebook.evaluate(values)
            if answer.thresholds is not None:
                review_at, adverse_at = answer.thresholds.review_at, answer.thresholds.adverse_at
            for row in answer.fired:
                names = dict.fromkeys([*row.names, *row.shown])
                hit = self._hit(row.id, row.effect, names, Text(row.zh, row.en), values)
                spoken.append(_Spoken("rule", hit))
            if answer.failure is not None:
                spoken.append(_Spoken("rule", self._failure(f"decision-{answer.failure}")))
        # 2. Caps and stale reference tables.
        uses = self._uses(values, inputs)
        spoken += self._full(uses, values)
        spoken += [_Spoken("reference", self._stale(table)) for table in inputs.stale]
        # 3. Approved exceptions lift what they name.
        spoken = [
            _Spoken(s.voice, self._approvals.lift(s.hit, values, inputs.placed_at)) for s in spoken
        ]
        # 4. Settle between rules, model and outcome set.
        model_level = _level(inputs.probability, review_at, adverse_at)
        settled = settle(_opinions(model_level, inputs.outcome_set, spoken), self.policy.precedence)
        hits = tuple(one.hit for one in spoken)
        return PolicyResult(
            settled.level, model_level, review_at, adverse_at, hits, settled.conflict, uses
        )

    def _fired(self, values: Mapping[str, JsonScalar]) -> Iterator[RuleHit]:
        for compiled in self._rules:
            if all_hold(compiled.conditions, values):
                rule = compiled.rule
                names = dict.fromkeys(_names(compiled.conditions, rule))
                yield self._hit(rule.id, rule.effect, names, Text(rule.zh, rule.en), values)

    def _hit(
        self,
        identity: str,
        effect: Effect,
        names: Collection[str],
        words: Text,
        values: Mapping[str, JsonScalar],
    ) -> RuleHit:
        facts = {name: values.get(name) for name in names}
        text = Text(render_text(words.zh, values), render_text(words.en, values))
        return RuleHit(identity, self.policy.version, effect, facts, text)

    def _failure(self, cause: str) -> RuleHit:
        return RuleHit(POLICY_FAILED, self.policy.version, Effect.REVIEW, {"cause": cause}, _FAILED)

    def _uses(self, values: Mapping[str, JsonScalar], inputs: PolicyInputs) -> tuple[CapUse, ...]:
        keyed = [(cap, cap.key(values, inputs.placed_at)) for cap in self._caps]
        return tuple(cap.use(key, inputs.counts) for cap, key in keyed if key is not None)

    def _full(
        self, uses: tuple[CapUse, ...], values: Mapping[str, JsonScalar]
    ) -> Iterator[_Spoken]:
        caps = {compiled.cap.id: compiled for compiled in self._caps}
        for use in uses:
            if use.is_unknown:
                yield _Spoken("cap", self._failure(f"uncounted-{use.key.cap}"))
            if use.is_full:
                compiled = caps[use.key.cap]
                known = {**values, **use.facts()}
                cap = compiled.cap
                names = dict.fromkeys([*compiled.names, *cap.placeholders(), *use.facts()])
                hit = self._hit(cap.id, cap.effect, names, Text(cap.zh, cap.en), known)
                yield _Spoken("cap", hit)

    def _stale(self, table: StaleReference) -> RuleHit:
        return RuleHit(
            REFERENCE_STALE,
            self.policy.version,
            self.policy.stale_effect,
            table.facts(),
            table.text(),
        )


def strictest(level: Level, hits: tuple[RuleHit, ...]) -> Level:
    """Return the strictest of the thresholds' answer and the rules'."""
    return max([level, *(effect_level(hit.effect) for hit in hits)])


def fits_set(level: Level, outcome_set: frozenset[Side]) -> bool:
    """Tell whether a promise allows an outcome without a person: the set is exactly its label.

    Examples
    --------
    >>> fits_set(Level.ADVERSE, frozenset({Side.ADVERSE, Side.FAVOURABLE}))
    False
    """
    return level is Level.REVIEW or outcome_set == {_LABELS[level]}


def _level(probability: float, review_at: float, adverse_at: float) -> Level:
    if probability >= adverse_at:
        return Level.ADVERSE
    return Level.REVIEW if probability >= review_at else Level.FAVOURABLE


def _names(conditions: tuple[Condition, ...], rule: Rule | None = None) -> list[str]:
    read = [name for condition in conditions for name in condition.names()]
    return read if rule is None else [*read, *rule.placeholders()]


def _opinions(
    model_level: Level, outcome_set: frozenset[Side] | None, spoken: list[_Spoken]
) -> list[Opinion]:
    opinions = [Opinion("model", model_level, "thresholds")]
    if outcome_set is not None:
        fits = fits_set(model_level, outcome_set)
        # The set never automates what the thresholds would ask a person about; it only asks.
        level = model_level if fits else Level.REVIEW
        opinions.append(Opinion(SET_VOICE, level, "outcome-set"))
    strict = [one for one in spoken if effect_level(one.hit.effect) is not Level.FAVOURABLE]
    opinions += [Opinion(s.voice, effect_level(s.hit.effect), s.hit.id) for s in strict]
    return opinions
