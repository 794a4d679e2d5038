"""Caps on service resources: which counters an order would use, and which are full.

Pure: the counts so far come in as an argument. The caller keeps the counters in the transaction
of the record, so that two orders at once cannot both take the last place.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from models.condition import all_hold
from models.domain import JsonScalar
from models.policy_document import CAP_VALUES, Cap, verify_known

_UNDATED = "undated"
_NO_TIER = ""


@dataclass(frozen=True, slots=True, order=True)
class CapKey:
    """One counter.

    Parameters
    ----------
    cap
        Id of the cap.
    day
        The order's own date, ISO 8601; ``undated`` when the order has none.
    tier
        The order's tier; empty when the cap has none or the order does not say.
    """

    cap: str
    day: str
    tier: str


@dataclass(frozen=True, slots=True)
class CapUse:
    """A counter that an order would use, as it stood.

    Parameters
    ----------
    key
        Which counter.
    used
        Orders counted before this one; None when the caller passed no count.
    limit
        Orders per day; None when this tier is not limited.
    """

    key: CapKey
    used: int | None
    limit: int | None

    @property
    def is_full(self) -> bool:
        """Whether one more order is above the limit."""
        return self.limit is not None and self.used is not None and self.used >= self.limit

    @property
    def is_unknown(self) -> bool:
        """Whether a limit could not be checked because no count was passed."""
        return self.limit is not None and self.used is None

    def facts(self) -> dict[str, JsonScalar]:
        """Return the values that the cap's sentence may show."""
        return {
            "cap_used": self.used,
            "cap_limit": self.limit,
            "cap_tier": self.key.tier,
            "cap_day": self.key.day,
        }


class CompiledCap:
    """A cap ready to apply.

    Parameters
    ----------
    cap
        As the policy says it.
    """

    def __init__(self, cap: Cap) -> None:
        self.cap = cap
        self._conditions = cap.conditions()
        self.names = tuple(
            dict.fromkeys(
                [
                    *(name for condition in self._conditions for name in condition.names()),
                    *([] if cap.tier is None else [cap.tier]),
                ]
            )
        )

    def verify_names(self, known: Collection[str]) -> None:
        """Check that the cap reads values that there are.

        Raises
        ------
        PolicyError
            Naming the values that are unknown.
        """
        verify_known(f"cap {self.cap.id!r}", self.names, known)
        shown = self.cap.placeholders()
        verify_known(f"cap {self.cap.id!r}", shown, {*known, *CAP_VALUES})

    def key(self, values: Mapping[str, JsonScalar], placed_at: datetime | None) -> CapKey | None:
        """Return the counter that an order would use, or None when it does not.

        Parameters
        ----------
        values
            The order's values.
        placed_at
            Its date, in its own offset, is the day that is counted.
        """
        if not all_hold(self._conditions, values):
            return None
        tier = None if self.cap.tier is None else values.get(self.cap.tier)
        day = _UNDATED if placed_at is None else placed_at.date().isoformat()
        return CapKey(self.cap.id, day, _NO_TIER if tier is None else str(tier))

    def use(self, key: CapKey, counts: Mapping[CapKey, int]) -> CapUse:
        """Return how full the counter is."""
        limit = self.cap.limits.get(key.tier, self.cap.limit)
        return CapUse(key, counts.get(key), limit)
