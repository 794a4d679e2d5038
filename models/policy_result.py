"""What goes into applying a policy and what comes out; plain values, ready to be recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from models.caps import CapKey, CapUse
from models.domain import JsonScalar, RuleHit, Side
from models.policy_document import DERIVED_VALUES
from models.precedence import Conflict, Level
from models.surroundings import StaleReference


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """What a policy looks at.

    Parameters
    ----------
    probability, interval
        Calibrated adverse probability with its interval (low, high).
    values
        Features, context and what look-ups found, by name.
    outcome_set
        Conformal set of labels; None when none was computed.
    placed_at
        The order's own time, aware; what exceptions, caps and ages are measured at.
    counts
        Orders counted so far for each of `CompiledPolicy.cap_keys`.
    stale
        Reference tables that were older than their limit.
    """

    probability: float
    interval: tuple[float, float]
    values: Mapping[str, JsonScalar]
    outcome_set: frozenset[Side] | None = None
    placed_at: datetime | None = None
    counts: Mapping[CapKey, int] = field(default_factory=dict)
    stale: tuple[StaleReference, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy says of one order.

    Parameters
    ----------
    level
        The answer.
    model_level
        What the thresholds alone say.
    review_at, adverse_at
        Thresholds that applied.
    hits
        Every rule that fired, also those that an exception lifted (their effect is none).
    conflict
        The disagreement of rules, model and outcome set, or None when they agree.
    cap_uses
        Counters that the order would use, as they stood.
    """

    level: Level
    model_level: Level
    review_at: float
    adverse_at: float
    hits: tuple[RuleHit, ...]
    conflict: Conflict | None
    cap_uses: tuple[CapUse, ...]

    def level_at(self, probability: float) -> Level:
        """Return what the thresholds that applied say of another probability."""
        if probability >= self.adverse_at:
            return Level.ADVERSE
        return Level.REVIEW if probability >= self.review_at else Level.FAVOURABLE

    def cap_keys_taken(self) -> tuple[CapKey, ...]:
        """Return the counters to count up with the record: none unless the order goes ahead."""
        if self.level is not Level.FAVOURABLE:
            return ()
        return tuple(use.key for use in self.cap_uses)


def derived_values(inputs: PolicyInputs) -> dict[str, JsonScalar]:
    """Return the values that every policy may use, named by `DERIVED_VALUES`.

    Examples
    --------
    >>> derived_values(PolicyInputs(0.4, (0.25, 0.5), {}))["interval_width"]
    0.25
    """
    low, high = inputs.interval
    size = None if inputs.outcome_set is None else float(len(inputs.outcome_set))
    found = (inputs.probability, low, high, high - low, size)
    return dict(zip(DERIVED_VALUES, found, strict=True))
