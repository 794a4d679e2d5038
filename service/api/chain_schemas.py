"""The shapes of a chain's answer and of events, for OpenAPI."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, JsonValue

from service.api.policy_schemas import ChainResult
from service.api.schemas import Decision
from service.api.split_schemas import SplitDecision


class Chain(ChainResult):
    """All decisions about one order, in order, and what they come to."""

    chain_id: str
    order_id: str
    decisions: list[Decision | SplitDecision]


class Event(BaseModel):
    """Something that the OMS must learn after the answer."""

    leaf_index: int
    event_id: str
    type: Literal["override", "publication", "reference"]
    recorded_at: AwareDatetime
    kind: str | None
    decision_id: str | None
    order_id: str | None
    outcome: str | None
    details: dict[str, JsonValue]


class EventList(BaseModel):
    """Events after a place in the log, oldest first."""

    events: list[Event]
    next: int


CHAIN_DOCUMENTED = (Chain, EventList)
