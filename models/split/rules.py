"""The policy's rules over candidates: what they exclude, and what they ask a person about.

A rule whose effect is to exclude or to reject takes its candidate out, as a hard constraint named
after the rule; one that asks for a review does so when the plan uses the candidate. Exceptions and
the evaluation itself are `models.policy`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from models.domain import Effect, RuleHit
from models.split.pairs import Pair, PairKey
from models.split.plan import Plan

_EXCLUDING = frozenset({Effect.EXCLUDE, Effect.REJECT})


@dataclass(frozen=True, slots=True)
class RuleUse:
    """A rule that fired, and the candidates for which it fired with these values."""

    hit: RuleHit
    candidates: tuple[PairKey, ...]


def collect_rules(hits: Mapping[PairKey, Sequence[RuleHit]]) -> tuple[RuleUse, ...]:
    """Return the rules that fired, each once for the same values, by id and first candidate.

    Parameters
    ----------
    hits
        Candidate to the rules that fired for it.
    """
    found: dict[tuple[str, str], tuple[RuleHit, list[PairKey]]] = {}
    for key, fired in hits.items():
        for hit in fired:
            # The same rule with other values is another finding.
            _, candidates = found.setdefault((hit.id, repr(hit)), (hit, []))
            candidates.append(key)
    uses = [RuleUse(hit, tuple(candidates)) for hit, candidates in found.values()]
    return tuple(sorted(uses, key=lambda use: (use.hit.id, use.candidates)))


def attach_rules(pairs: Iterable[Pair], rules: Sequence[RuleUse]) -> tuple[Pair, ...]:
    """Return the candidates with the rules that exclude them."""
    excluding: dict[PairKey, list[RuleHit]] = {}
    for use in rules:
        if use.hit.effect in _EXCLUDING:
            for key in use.candidates:
                excluding.setdefault(key, []).append(use.hit)
    return tuple(
        replace(pair, rules=tuple(excluding[pair.key])) if pair.key in excluding else pair
        for pair in pairs
    )


def review_rules(plan: Plan, rules: Sequence[RuleUse]) -> tuple[RuleHit, ...]:
    """Return the rules that ask a person about a candidate that the plan uses."""
    used = plan.quantities()
    return tuple(
        use.hit
        for use in rules
        if use.hit.effect is Effect.REVIEW and any(key in used for key in use.candidates)
    )
