"""The shapes of requests and answers: forms for checking bodies, and models for OpenAPI.

Answers are written from stored bytes and not through these models; a test holds that they match.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from service.api.policy_schemas import (
    AskedReference,
    Cap,
    ChainResult,
    Conflict,
    Promise,
)

Scalar = str | int | float | bool | None
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OverrideRequest(_Form):
    """A person's decision instead of the platform's."""

    outcome: Code
    reason_code: Code
    comment: Annotated[str, Field(max_length=4000)] = ""


class OutcomeRequest(_Form):
    """What really happened."""

    label: Code
    observed_at: AwareDatetime
    details: JsonValue = None


class Reason(BaseModel):
    """One reason, in words and numbers."""

    rank: int
    code: str
    toward: str
    share: float
    contribution: float
    group: str
    features: list[str]
    facts: dict[str, Scalar]
    text: str


class Rule(BaseModel):
    """A policy rule that fired."""

    id: str
    version: str
    effect: Literal["none", "review", "reject", "exclude"]
    facts: dict[str, Scalar]
    text: str


class Model(BaseModel):
    """Which model decided."""

    name: str
    version: str
    bundle: str
    run_id: str


class Policy(BaseModel):
    """Which policy decided."""

    name: str
    version: str
    digest: str


class Attributions(BaseModel):
    """Base value and values sum to the margin, in log-odds."""

    base_value: float
    margin: float
    link: Literal["logit"]
    values: dict[str, float]


class Receipt(BaseModel):
    """Proof of a record's place in the log."""

    leaf_index: int
    tree_size: int
    leaf: str
    proof: str


class FieldChange(BaseModel):
    """What a number of the order is, and what it would have to be."""

    model_config = ConfigDict(populate_by_name=True)

    present: float = Field(alias="from")
    to: float


class Counterfactual(BaseModel):
    """A smallest change that leads to another outcome; `order` can be posted as it is."""

    changes: dict[str, FieldChange]
    outcome: str
    text: str
    order: dict[str, JsonValue] | None


class AnyDecision(BaseModel):
    """What every decision's answer says, whatever its kind."""

    decision_id: str
    kind: str
    order_id: str | None
    decided_at: str
    chain_id: str | None
    parent_id: str | None
    outcome: str
    automated: bool
    confidence: float
    outcome_set: list[str]
    summary: str
    reasons: list[Reason]
    counter_reasons: list[Reason]
    counterfactuals: list[Counterfactual]
    model: Model
    policy: Policy
    features: dict[str, Scalar]
    warnings: list[str]
    receipt: Receipt
    timings_ms: dict[str, float]
    chain: ChainResult | None


class Decision(AnyDecision):
    """A decision as answered."""

    raw_probability: float
    probability: float
    interval: list[float]
    rules: list[Rule]
    thresholds: tuple[float, float]
    promise: Promise | None
    conflict: Conflict | None
    caps: list[Cap]
    references: list[AskedReference]
    matches: dict[str, JsonValue] | None
    attributions: Attributions


class Override(BaseModel):
    """An override entry; the comment shows only to those who may see identifiers."""

    entry_id: str
    decision_id: str
    recorded_at: str
    leaf_index: int
    actor: str
    outcome: str
    reason_code: str
    comment: str = ""


class ObservedOutcome(BaseModel):
    """An outcome entry; details show only to those who may see identifiers."""

    entry_id: str
    decision_id: str
    recorded_at: str
    leaf_index: int
    actor: str
    label: str
    observed_at: str
    details: JsonValue = None


class RecordedOverride(Override):
    """A new override with its receipt."""

    receipt: Receipt


class RecordedOutcome(ObservedOutcome):
    """A new outcome with its receipt."""

    receipt: Receipt


class ProofStatus(BaseModel):
    """Whether receipt and facts hold now."""

    status: Literal["verified", "broken"]
    detail: str | None
    checkpoint_tree_size: int | None


class DecisionRead(Decision):
    """A decision with what was said of it later."""

    erased: bool
    outcome_in_force: str
    overrides: list[Override]
    observed_outcome: ObservedOutcome | None
    proof_status: ProofStatus


class FoundDecision(BaseModel):
    """A decision on a search page."""

    decision_id: str
    kind: str
    order_id: str | None
    erased: bool
    purged: bool
    decided_at: str
    chain_id: str | None
    outcome: str | None
    automated: bool | None
    outcome_in_force: str | None
    awaits_review: bool
    leaf_index: int


class SearchPage(BaseModel):
    """A page of a search; `next_cursor` is null on the last one."""

    decisions: list[FoundDecision]
    next_cursor: str | None


class Difference(BaseModel):
    """A value that came out otherwise; `path` is a JSON pointer into the facts."""

    path: str
    recorded: JsonValue
    replayed: JsonValue


class ReferencePin(BaseModel):
    """A version of a reference table as a record pins it."""

    digest: str
    as_of: AwareDatetime


class ReferencesAsked(BaseModel):
    """The versions of one reference table that were asked then and now."""

    name: str
    recorded: ReferencePin | None
    replayed: ReferencePin


class Cause(BaseModel):
    """A factor that by itself gives something else than was recorded.

    `shown` is false where it is only another than recorded, and nothing shows that it matters.
    """

    factor: Literal[
        "record",
        "model",
        "calibration",
        "feature code",
        "policy",
        "reference version",
        "library",
        "CPU",
    ]
    part: str
    recorded: str | None
    replayed: str | None
    shown: bool


class Replay(BaseModel):
    """A decision and what it would be now.

    `cause` is `causes` in words, null on a match; `references` where other tables were asked;
    `note` says what was not done again.
    """

    match: bool
    differences: list[Difference]
    cause: str | None
    causes: list[Cause]
    recorded: dict[str, JsonValue]
    replayed: dict[str, JsonValue]
    references: list[ReferencesAsked] | None = None
    note: str | None = None


class Words(BaseModel):
    """The same words in both languages."""

    zh: str
    en: str


class Outcome(BaseModel):
    """One possible answer."""

    code: str
    title: Words


class Feature(BaseModel):
    """A value that the model sees."""

    name: str
    title: Words
    type: Literal["number", "boolean", "category"]
    unit: str
    monotone: Literal[-1, 0, 1]
    group: str
    protected: bool


class Example(BaseModel):
    """An order that can be posted as it is."""

    name: str
    title: Words
    order: dict[str, JsonValue]


class ServingNode(BaseModel):
    """The outside node that serves a kind; without a version the node chooses."""

    model: str
    version: str | None
    marks: list[str]
    explains: bool


class Kind(BaseModel):
    """What can be decided; `model` and `policy` are null when none is live."""

    name: str
    version: str
    title: Words
    adverse_event: Words
    outcomes: list[Outcome]
    request_schema: dict[str, JsonValue]
    features: list[Feature]
    model: Model | None
    policy: Policy | None
    node: ServingNode | None
    examples: list[Example]


class ChainExamples(BaseModel):
    """What `POST /v1/orders/decide` decides, and orders that can be posted to it."""

    kinds: list[str]
    examples: list[Example]


class KindList(BaseModel):
    """All kinds."""

    kinds: list[Kind]
    chain: ChainExamples


class Consistency(BaseModel):
    """RFC 6962 consistency proof, base64 hashes."""

    model_config = ConfigDict(populate_by_name=True)

    from_size: Annotated[int, Field(alias="from")]
    to_size: Annotated[int, Field(alias="to")]
    proof: list[str]


class Check(BaseModel):
    """One readiness check."""

    name: str
    ok: bool
    detail: str


class Health(BaseModel):
    """Whether the service can serve, and why not."""

    status: Literal["live", "ready", "unready"]
    checks: list[Check]


class Fault(BaseModel):
    """A malformed place."""

    pointer: str
    message: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    remedy: str
    errors: list[Fault] | None = None


DOCUMENTED: tuple[type[BaseModel], ...] = (
    OverrideRequest,
    OutcomeRequest,
    Decision,
    DecisionRead,
    RecordedOverride,
    RecordedOutcome,
    SearchPage,
    Replay,
    Kind,
    KindList,
    Consistency,
    Health,
    ProblemDocument,
)
