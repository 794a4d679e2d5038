"""What a decision rests on beside the order: time, counters, reference data, working error rates.

All of it is recorded with the decision, so a replay asks nothing of the world.
"""

from dataclasses import dataclass
from datetime import datetime

from models.domain import JsonScalar, Text


@dataclass(frozen=True, slots=True)
class ReferenceRef:
    """Which version of a table was used."""

    name: str
    digest: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class StaleReference:
    """A table that was older than its limit when an order was placed.

    Parameters
    ----------
    reference, title
        Which table.
    age_days, limit_days
        Its age at the order's time, to one decimal, and its limit.
    """

    reference: ReferenceRef
    title: Text
    age_days: float
    limit_days: float

    def facts(self) -> dict[str, JsonScalar]:
        """Return the values that the rule hit shows."""
        return {
            "table": self.reference.name,
            "table_digest": self.reference.digest,
            "table_as_of": self.reference.as_of.isoformat(),
            "age_days": self.age_days,
            "limit_days": self.limit_days,
        }

    def text(self) -> Text:
        """Return the sentence of the rule hit."""
        return Text(
            f"参考数据「{self.title.zh}」已{self.age_days:.0f}天未更新(上限{self.limit_days:g}天)",
            f"reference table {self.title.en!r} is {self.age_days:.0f} days old "
            f"(limit {self.limit_days:g})",
        )


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Share of each true label that may be automated wrongly, 0 to 0.5."""

    adverse: float
    favourable: float


@dataclass(frozen=True, slots=True)
class CapCount:
    """How many orders had used a counter of `models.caps` before this one."""

    cap: str
    day: str
    tier: str
    count: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that a decision rests on beside the order, bundle and policy.

    Parameters
    ----------
    placed_at
        The order's own time, aware; None when the kind names none.
    counts
        The policy's counters, as they stood.
    stale
        Reference tables that were older than their limit.
    references
        Versions of the tables that were asked.
    error_rates
        Working error rates of the conformal set; None for the promise itself.
    """

    placed_at: datetime | None = None
    counts: tuple[CapCount, ...] = ()
    stale: tuple[StaleReference, ...] = ()
    references: tuple[ReferenceRef, ...] = ()
    error_rates: ErrorRates | None = None
