"""A case: an order made ready to be decided, with what counters and tables say of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Protocol

from models.caps import CapKey
from models.domain import Json, Snapshot
from models.features import Extractor, OrderValue
from models.kind import Kind
from models.order import OrderSchema
from models.policy import CompiledPolicy
from models.surroundings import CapCount, Surroundings


class CaseReader(Protocol):
    """What an order is made ready with, whoever then answers: a trained model or a node."""

    @property
    def kind(self) -> Kind:
        """The kind."""
        ...

    @property
    def schema(self) -> OrderSchema:
        """How its orders are checked."""
        ...

    @property
    def extractor(self) -> Extractor:
        """How its features are computed."""
        ...

    @property
    def policy(self) -> CompiledPolicy:
        """What decides."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """What model and policy see of an order.

    Parameters
    ----------
    snapshot, surroundings
        See their classes; the snapshot's context holds what look-ups found.
    cap_keys
        Counters whose counts the policy needs.
    personal
        Look-up name to matched entries that identify a person; to be sealed.
    unknown_fields
        JSON pointers of request fields that the kind does not know.
    """

    snapshot: Snapshot
    surroundings: Surroundings
    cap_keys: tuple[CapKey, ...]
    personal: dict[str, Json]
    unknown_fields: tuple[str, ...]

    def counted(self, counts: Mapping[CapKey, int]) -> "Case":
        """Return the case with its counters' counts; a counter that is absent counts as 0."""
        if not self.cap_keys:
            return self
        known = tuple(
            CapCount(key.cap, key.day, key.tier, counts.get(key, 0)) for key in self.cap_keys
        )
        return replace(self, surroundings=replace(self.surroundings, counts=known))


def moment_at(values: Mapping[str, OrderValue], path: str | None) -> datetime | None:
    """Return the moment at a dotted path of a checked order, aware; None when it has none.

    Examples
    --------
    >>> moment_at({"placed_on": date(2026, 1, 15)}, "placed_on").isoformat()
    '2026-01-15T00:00:00+00:00'
    """
    value: OrderValue = dict(values)
    for step in [] if path is None else path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return None
