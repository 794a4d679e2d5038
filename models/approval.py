"""Approved exceptions: what a person may lift, for whom and until when.

Rule kept here: an exception counts from the day of its approval to its last day, both compared with
the order's own date; an order without a date is lifted by none.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from models.condition import Condition, all_hold
from models.domain import Effect, JsonScalar, RuleHit, Text
from models.errors import PolicyError
from models.policy_document import ApprovedException, verify_known


@dataclass(frozen=True, slots=True)
class _Compiled:
    granted: ApprovedException
    conditions: tuple[Condition, ...]

    def counts(self, values: Mapping[str, JsonScalar], placed_at: datetime | None) -> bool:
        if placed_at is None:
            return False
        day, start = placed_at.date(), self.granted.approved_on
        is_begun = start is None or start <= day
        return is_begun and day <= self.granted.expires_on and all_hold(self.conditions, values)


class Approvals:
    """A policy's exceptions, ready to apply.

    Parameters
    ----------
    exceptions
        As the policy says them; the first that counts lifts a rule.
    """

    def __init__(self, exceptions: tuple[ApprovedException, ...]) -> None:
        self._compiled = tuple(_Compiled(granted, granted.conditions()) for granted in exceptions)

    def verify_rules(self, ids: Collection[str]) -> None:
        """Check that each exception lifts a rule that there is.

        Raises
        ------
        PolicyError
            Naming the exception that does not.
        """
        for compiled in self._compiled:
            if compiled.granted.rule not in ids:
                raise PolicyError(f"exception {compiled.granted.id!r} lifts no rule of this policy")

    def verify_names(self, known: Collection[str]) -> None:
        """Check that the conditions read values that there are.

        Raises
        ------
        PolicyError
            Naming the exception and the values that are unknown.
        """
        for compiled in self._compiled:
            names = [name for condition in compiled.conditions for name in condition.names()]
            verify_known(f"exception {compiled.granted.id!r}", names, known)

    def lift(
        self, hit: RuleHit, values: Mapping[str, JsonScalar], placed_at: datetime | None
    ) -> RuleHit:
        """Return the hit, without effect and saying who lifted it when an exception counts.

        Parameters
        ----------
        hit
            A rule that fired.
        values
            The order's values.
        placed_at
            The order's own time; None lifts nothing.
        """
        for compiled in self._compiled:
            if compiled.granted.rule == hit.id and compiled.counts(values, placed_at):
                return _lifted(hit, compiled.granted)
        return hit


def _lifted(hit: RuleHit, granted: ApprovedException) -> RuleHit:
    expires_on = granted.expires_on.isoformat()
    facts = {
        **hit.facts,
        "exception": granted.id,
        "exception_actor": granted.actor,
        "exception_expires_on": expires_on,
    }
    text = Text(
        f"{hit.text.zh}(已批准例外,有效至{expires_on})",
        f"{hit.text.en} (lifted by an approved exception until {expires_on})",
    )
    return RuleHit(hit.id, hit.version, Effect.NONE, facts, text)
