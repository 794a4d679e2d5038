"""The shapes of a split's answer: a plan over many candidates instead of one margin.

Amounts are in `currency`. `plan`, `parcels` and `terms` are empty without a plan.
"""

from pydantic import BaseModel

from models.split.solve import Status
from models.split.why_not import Standing
from service.api.schemas import (
    AnyDecision,
    Attributions,
    ObservedOutcome,
    Override,
    ProofStatus,
    Reason,
    Rule,
    Scalar,
)


class Told(BaseModel):
    """A sentence with its code and the values that it rests on."""

    code: str
    facts: dict[str, Scalar]
    text: str


class Candidate(BaseModel):
    """An order line from a warehouse by a carrier service."""

    line_id: int
    warehouse_id: str
    service_id: str


class CandidateRule(Rule):
    """A policy rule that fired, and for which candidates."""

    candidates: list[Candidate]


class PlanLine(Candidate):
    """Pieces of one order line in one parcel; `cost` is the sum of its own three terms."""

    sku: str
    carrier: str
    quantity: int
    ship_by: str
    arrives_at: str
    cost: float
    freight: float
    turnover: float
    lateness: float
    lateness_probability: float


class ExplainedLine(PlanLine):
    """A line of the chosen plan, with what the model says of its lateness."""

    raw_probability: float
    interval: list[float]
    features: dict[str, Scalar]
    attributions: Attributions
    reasons: list[Reason]
    counter_reasons: list[Reason]


class Parcel(BaseModel):
    """What leaves one warehouse by one service; `freight` includes the rate per parcel."""

    warehouse_id: str
    service_id: str
    carrier: str
    ready_at: str
    ship_by_at: str
    arrives_at: str
    pieces: int
    grams: int
    freight: float
    late_probability: float


class Cost(BaseModel):
    """A plan's cost by term; `total` is what the optimiser minimises."""

    freight: float
    lateness: float
    split: float
    turnover: float
    total: float


class Term(BaseModel):
    """A term of the plan's cost and its share of the total."""

    name: str
    amount: float
    share: float


class Weight(Term):
    """What a weight of the policy adds; decisive when another plan were best without it."""

    value: int
    is_decisive: bool
    saved: float


class PlanDifference(BaseModel):
    """Another plan minus the chosen one."""

    cost: float
    freight: float
    parcels: int
    arrival_minutes: int
    late_lines: float


class GroupDifference(BaseModel):
    """A reason group's SHAP sum there minus that of the candidate used, log-odds of lateness."""

    group: str
    contribution: float


class WhyNot(Told):
    """Why a warehouse, or a candidate (then with line and service), is not used."""

    warehouse_id: str
    line_id: int | None
    service_id: str | None
    standing: Standing
    exclusions: list[Told]
    blocked_by: list[str]
    difference: PlanDifference | None
    groups: list[GroupDifference]
    plan: list[PlanLine] | None
    cost: Cost | None


class Alternative(Told):
    """A plan not taken: the best with one constraint relaxed, or (null) with fewer parcels."""

    relaxed: str | None
    status: Status
    difference: PlanDifference | None
    plan: list[PlanLine]
    cost: Cost
    arrives_at: str


class PlanConflict(Told):
    """Lines and constraints that leave no plan; each of them is needed for the conflict."""

    lines: list[int]
    constraints: list[str]


class Release(Told):
    """One position of a warehouse's release sequence, and why it stands there."""

    position: int
    service_id: str | None
    waiting_id: int | None
    starts_at: str
    packing_at: str
    ready_at: str
    cut_off_at: str
    is_met: bool
    slack_minutes: int


class WarehouseReleases(BaseModel):
    """In which order a warehouse releases its parcels; exact when no order is better."""

    warehouse_id: str
    is_exact: bool
    sequence: list[Release]


class SplitDecision(AnyDecision):
    """A split as answered.

    Probability, interval, features, attributions and reasons are those of the plan's candidate
    most likely to be late; without a plan they are null or empty and the conflict is the reason.
    """

    raw_probability: float | None
    probability: float | None
    interval: list[float] | None
    rules: list[CandidateRule]
    attributions: Attributions | None
    currency: str
    status: Status
    is_timed_out: bool
    gap: float | None
    plan: list[ExplainedLine]
    parcels: list[Parcel]
    cost: Cost | None
    arrives_at: str | None
    expected_late_lines: float | None
    terms: list[Term]
    weights: list[Weight]
    why_not: list[WhyNot]
    alternatives: list[Alternative]
    conflict: PlanConflict | None
    releases: list[WarehouseReleases]


class SplitDecisionRead(SplitDecision):
    """A split with what was said of it later."""

    erased: bool
    outcome_in_force: str
    overrides: list[Override]
    observed_outcome: ObservedOutcome | None
    proof_status: ProofStatus


SPLIT_DOCUMENTED: tuple[type[BaseModel], ...] = (SplitDecision, SplitDecisionRead)
