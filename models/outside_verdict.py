"""What a decision made with an outside node says and rests on; made by `models.outside`."""

from dataclasses import dataclass
from typing import Literal

from models.domain import (
    Attributions,
    CapStanding,
    Disagreement,
    Json,
    ModelRef,
    PolicyRef,
    Reason,
    RuleHit,
    Runtime,
    Snapshot,
    Text,
)
from models.inference import NodeFailure
from models.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One call of a node, as it is recorded.

    Parameters
    ----------
    request_id
        Given to the node, which gives it back.
    request_sha256
        Hex digest of the body that was sent.
    latency_ms
        From the first byte of the request to the last of the answer, or to the failure.
    status
        HTTP status; None when none came.
    body
        The answer verbatim; None when none came whole, or it was not UTF-8.
    body_sha256
        Hex digest of the answer's bytes; None when none came whole.
    failure
        Why there is no answer to read; None when there is one.
    """

    request_id: str
    request_sha256: str
    latency_ms: float
    status: int | None
    body: str | None
    body_sha256: str | None
    failure: NodeFailure | None


@dataclass(frozen=True, slots=True)
class OutsideVerdict:
    """Everything that follows from snapshot, call, kind and policy; replay compares all of it.

    Parameters
    ----------
    outcome
        In the kind's words.
    automated
        False when a person has to decide.
    probability
        Of the adverse event, as the node says; None without a usable answer. Nothing calibrates it.
    confidence
        That the outcome is right, taken from `probability`; 0 without one.
    explained_by
        ``node`` when it gave attributions that add up, else None.
    attributions, reasons, counter_reasons
        As the node explains it; None and empty when it does not.
    rules
        Policy rules that fired, and why the node was not asked or did not answer.
    thresholds
        Those that applied; None without a probability to compare.
    failure
        Why there is no usable answer; None when there is one.
    summary, conflict, caps
        See `models.domain.Verdict`.
    """

    outcome: str
    automated: bool
    probability: float | None
    confidence: float
    explained_by: Literal["node"] | None
    attributions: Attributions | None
    reasons: tuple[Reason, ...]
    counter_reasons: tuple[Reason, ...]
    rules: tuple[RuleHit, ...]
    summary: Text
    thresholds: tuple[float, float] | None
    conflict: Disagreement | None
    caps: tuple[CapStanding, ...]
    failure: NodeFailure | None


@dataclass(frozen=True, slots=True)
class OutsideDecision:
    """A verdict with the call it rests on and the versions that made it; see `Decision`."""

    kind: str
    snapshot: Snapshot
    surroundings: Surroundings
    call: NodeCall | None
    verdict: OutsideVerdict
    model: ModelRef
    policy: PolicyRef
    runtime: Runtime
    unknown_fields: tuple[str, ...]
    timings_ms: dict[str, float]
    personal: dict[str, Json]
