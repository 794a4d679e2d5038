"""Conditions of reason templates and policy rules: data, not code.

A condition is one comparison written as a kind's author would say it: ``stock < safety_stock``,
``prior_chargebacks >= 1``, ``channel == 'amazon'``, ``eta_days is missing``. A list of conditions
holds when each of them holds. Nothing here is evaluated as Python.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.domain import JsonScalar
from models.errors import KindFileError

_ORDERED: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMPARISON = re.compile(r"^([a-z][a-z0-9_]*)\s*(<=|>=|==|!=|<|>)\s*(.+)$")
_PRESENCE = re.compile(r"^([a-z][a-z0-9_]*) is (missing|present)$")
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_QUOTED = re.compile(r"^'([^']*)'$")


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a named value with another name or a constant.

    Parameters
    ----------
    name
        The value on the left.
    comparison
        One of ``< <= > >= == !=`` or ``missing`` or ``present``.
    other
        Name of the value on the right, or None when it is a constant.
    constant
        The constant on the right when `other` is None.
    """

    name: str
    comparison: str
    other: str | None = None
    constant: JsonScalar = None

    def names(self) -> tuple[str, ...]:
        """Return the names that the condition reads."""
        return (self.name,) if self.other is None else (self.name, self.other)

    def holds(self, values: Mapping[str, JsonScalar]) -> bool:
        """Tell whether it holds; a comparison with a missing value never does.

        Parameters
        ----------
        values
            Name to value; an absent name is a missing value.
        """
        left = values.get(self.name)
        if self.comparison == "missing":
            return left is None
        if self.comparison == "present":
            return left is not None
        right = values.get(self.other) if self.other is not None else self.constant
        if left is None or right is None:
            return False
        if self.comparison in {"==", "!="}:
            return (left == right) == (self.comparison == "==")
        if isinstance(left, str) or isinstance(right, str):
            return False
        return _ORDERED[self.comparison](left, right)


def parse_condition(text: str) -> Condition:
    """Read one condition.

    Parameters
    ----------
    text
        For example ``bonded_stock < bonded_safety_stock``.

    Raises
    ------
    KindFileError
        When the text is not a condition.

    Examples
    --------
    >>> parse_condition("stock < safety_stock").holds({"stock": 4.0, "safety_stock": 20.0})
    True
    >>> parse_condition("eta_days is missing").holds({})
    True
    """
    presence = _PRESENCE.match(text)
    if presence:
        return Condition(presence[1], presence[2])
    comparison = _COMPARISON.match(text)
    if not comparison:
        raise KindFileError(f"not a condition: {text!r}")
    name, symbol, right = comparison[1], comparison[2], comparison[3].strip()
    quoted = _QUOTED.match(right)
    if quoted:
        return Condition(name, symbol, constant=quoted[1])
    if right in {"true", "false"}:
        return Condition(name, symbol, constant=right == "true")
    if _NAME.match(right):
        return Condition(name, symbol, other=right)
    try:
        return Condition(name, symbol, constant=float(right))
    except ValueError:
        raise KindFileError(f"not a number, name or 'text': {right!r} in {text!r}") from None


def all_hold(conditions: tuple[Condition, ...], values: Mapping[str, JsonScalar]) -> bool:
    """Tell whether every condition holds; an empty list always does.

    Examples
    --------
    >>> all_hold((), {})
    True
    """
    return all(condition.holds(values) for condition in conditions)
