"""What a split decision says; made by `models.split.decide`, kept by `models.split.record`."""

from dataclasses import dataclass

from models.domain import Attributions, ModelRef, PolicyRef, Reason, Runtime, Snapshot
from models.finding import Finding
from models.split.alternatives import Alternative
from models.split.conflict import Conflict
from models.split.pairs import PairKey
from models.split.plan import Plan
from models.split.problem import Problem
from models.split.releases import WarehouseReleases
from models.split.rules import RuleUse
from models.split.solve import Status
from models.split.weights import Term, WeightEffect
from models.split.why_not import CandidateStanding, WhyNot


@dataclass(frozen=True, slots=True)
class PairScore:
    """What the model said of one candidate.

    Parameters
    ----------
    probability, interval
        Calibrated P(late).
    reasons, counter_reasons
        Towards its outcome and against it; only of candidates that the plan uses.
    """

    line_id: int
    warehouse_id: str
    service_id: str
    snapshot: Snapshot
    attributions: Attributions
    probability: float
    interval: tuple[float, float]
    reasons: tuple[Reason, ...]
    counter_reasons: tuple[Reason, ...]

    @property
    def key(self) -> PairKey:
        """The candidate."""
        return self.line_id, self.warehouse_id, self.service_id


@dataclass(frozen=True, slots=True)
class SplitVerdict:
    """Everything that follows from a problem, a bundle and a policy; replay compares all of it.

    Parameters
    ----------
    outcome
        In the kind's words: favourable for a plan, review, adverse when there is none.
    automated
        False when a person has to decide.
    confidence
        Calibrated probability that the outcome is right, 0 to 1: for a plan 1 minus its largest
        P(late), 1 when it is proven that there is none, 0 when none was found in time.
    status, gap_cents
        What is known of the plan, and how far it may be from the best; 0 when proven.
    is_timed_out
        Whether any solve struck the time limit; replay then checks the plan and its cost.
    plan
        None when there is none.
    terms, weights
        The plan's cost by term, and what each weight of the policy did.
    scores
        What the model said of each candidate.
    rules
        The policy's rules that fired, with the candidates for which they did.
    releases
        For each warehouse that ships, in which order its parcels leave.
    candidates, why_not, alternatives
        Every candidate's standing, every warehouse that does not ship, and the plans not taken.
    conflict
        The constraints that leave no plan; None when there is one.
    summary
        One sentence.
    """

    outcome: str
    automated: bool
    confidence: float
    status: Status
    gap_cents: int | None
    is_timed_out: bool
    plan: Plan | None
    terms: tuple[Term, ...]
    weights: tuple[WeightEffect, ...]
    scores: tuple[PairScore, ...]
    rules: tuple[RuleUse, ...]
    releases: tuple[WarehouseReleases, ...]
    candidates: tuple[CandidateStanding, ...]
    why_not: tuple[WhyNot, ...]
    alternatives: tuple[Alternative, ...]
    conflict: Conflict | None
    summary: Finding


@dataclass(frozen=True, slots=True)
class SplitDecision:
    """A verdict with the problem it rests on and the versions that made it; see `Decision`."""

    kind: str
    problem: Problem
    verdict: SplitVerdict
    model: ModelRef
    policy: PolicyRef
    runtime: Runtime
    unknown_fields: tuple[str, ...]
    timings_ms: dict[str, float]
