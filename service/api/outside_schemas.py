"""The shapes of an answer that rests on an outside node."""

from pydantic import BaseModel, JsonValue

from service.api.policy_schemas import AskedReference, Cap, Conflict
from service.api.schemas import (
    AnyDecision,
    Attributions,
    ObservedOutcome,
    Override,
    ProofStatus,
    Rule,
)


class NodeFailure(BaseModel):
    """Why there is no usable answer of the node."""

    code: str
    detail: str


class NodeCall(BaseModel):
    """How the node was asked; `status` is null when it was not, or did not answer."""

    asked: bool
    request_id: str | None
    latency_ms: float | None
    status: int | None
    failure: NodeFailure | None


class OutsideDecision(AnyDecision):
    """A decision made with an outside node.

    `probability` is what the node said; nothing calibrates it, so there is no interval. Without a
    usable answer it is null, and a person decides unless a rule is stricter.
    """

    raw_probability: float | None
    probability: float | None
    interval: None
    rules: list[Rule]
    thresholds: tuple[float, float] | None
    promise: None
    conflict: Conflict | None
    caps: list[Cap]
    references: list[AskedReference]
    matches: dict[str, JsonValue] | None
    attributions: Attributions | None
    explained: bool
    explained_by: str | None
    explanation: str
    node: NodeCall


class OutsideDecisionRead(OutsideDecision):
    """The same with what was said of it later."""

    erased: bool
    outcome_in_force: str
    overrides: list[Override]
    observed_outcome: ObservedOutcome | None
    proof_status: ProofStatus


OUTSIDE_DOCUMENTED: tuple[type[BaseModel], ...] = (OutsideDecision, OutsideDecisionRead)
