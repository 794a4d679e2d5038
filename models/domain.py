"""The values that deciding makes. Immutable, without I/O, shared by every package.

Rules kept here: times are aware UTC; a `Verdict` is a pure function of snapshot, bundle and
policy; identity (who, when, which order) is added by the caller as `Identity`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

JsonScalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "JsonScalar | list[Json] | dict[str, Json]"
FeatureValue: TypeAlias = float | str | None
ValueType: TypeAlias = Literal["number", "text", "boolean", "any"]
Language: TypeAlias = Literal["zh", "en"]


class Side(StrEnum):
    """Towards which end a contribution pushes."""

    ADVERSE = "adverse"
    FAVOURABLE = "favourable"


class Effect(StrEnum):
    """What a policy rule does; from mild to strict."""

    NONE = "none"
    REVIEW = "review"
    REJECT = "reject"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages, made from the same facts."""

    zh: str
    en: str

    def in_language(self, language: Language) -> str:
        """Return the sentence in `language`."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model decided: registry name and version, bundle digest, training run."""

    name: str
    version: str
    bundle: str
    run_id: str


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Which policy decided."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the model saw, and what the texts may say.

    Parameters
    ----------
    features
        Feature name to value, in the kind's order: a float, a category's name, or None (missing).
    context
        Values that the reasons' texts and the policy's rules may use but the model does not see
        (dates, piece counts). Never an identifier.
    """

    features: dict[str, FeatureValue]
    context: dict[str, JsonScalar]


@dataclass(frozen=True, slots=True)
class Attributions:
    """An additive explanation: base_value + sum(values) equals margin to 1e-9.

    Parameters
    ----------
    base_value, margin
        Log-odds.
    link
        How the margin becomes the raw probability.
    values
        Feature name to its SHAP value in log-odds, same keys as `Snapshot.features`.
    """

    base_value: float
    margin: float
    link: Literal["logit"]
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason group's contribution, said in words.

    Parameters
    ----------
    rank
        From 1, by absolute contribution within its list.
    code
        Stable code of the template, upper case.
    group
        Reason group of the kind.
    side
        Towards which end it pushes.
    toward
        The outcome at that end, in the kind's words ("reject").
    share
        Its part, 0 to 1, of the absolute contributions of all groups on the same side.
    contribution
        Signed sum of the group's SHAP values, log-odds.
    features
        Names of the features summed.
    facts
        Values named by the text, unrounded.
    text
        The sentence in both languages.
    """

    rank: int
    code: str
    group: str
    side: Side
    toward: str
    share: float
    contribution: float
    features: tuple[str, ...]
    facts: dict[str, JsonScalar]
    text: Text


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A policy rule that fired, with the values it looked at."""

    id: str
    version: str
    effect: Effect
    facts: dict[str, JsonScalar]
    text: Text


@dataclass(frozen=True, slots=True)
class Voice:
    """What one voice asked for.

    Parameters
    ----------
    voice
        ``rule``, ``cap``, ``reference``, ``model`` (thresholds), ``set`` (conformal), or a kind's
        name in a chain.
    outcome
        In the kind's words.
    cause
        Id of the rule, or what else made it say so.
    """

    voice: str
    outcome: str
    cause: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Voices that asked for different outcomes, and how it ended.

    Parameters
    ----------
    voices
        All of them, as they spoke.
    winner
        The voice whose outcome stands.
    by
        `floor`: no voice may be milder than a rule; `precedence`: the policy's order; `promise`:
        a conformal set that does not hold exactly the outcome; `strictest`: the policy names no
        order.
    """

    voices: tuple[Voice, ...]
    winner: str
    by: Literal["floor", "precedence", "promise", "strictest"]


@dataclass(frozen=True, slots=True)
class CapStanding:
    """A counter that the order would use.

    Parameters
    ----------
    cap, day, tier
        Which counter.
    used
        Orders counted before this one; None when it was not known.
    limit
        Orders per day; None when this tier is not limited.
    """

    cap: str
    day: str
    tier: str
    used: int | None
    limit: int | None


@dataclass(frozen=True, slots=True)
class Promised:
    """The share of each true label that may be automated wrongly, and what was worked with.

    Parameters
    ----------
    adverse, favourable
        As the policy promises.
    working_adverse, working_favourable
        After correction from reported outcomes.
    """

    adverse: float
    favourable: float
    working_adverse: float
    working_favourable: float


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A number of the order written anew.

    Parameters
    ----------
    field
        Dotted place in the order.
    present, to
        What it is, and what it would have to be.
    """

    field: str
    present: float
    to: float


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What would have to be different for another outcome.

    Parameters
    ----------
    changes
        Feature name to the change of its field.
    outcome
        What the whole path answers to the changed order.
    text
        The same in words.
    """

    changes: dict[str, FieldChange]
    outcome: str
    text: Text


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that follows from a snapshot, a bundle and a policy; replay compares all of it.

    Parameters
    ----------
    outcome
        In the kind's words.
    automated
        False when a person has to decide (outcome is the kind's review).
    raw_probability
        Logistic function of the margin.
    probability, interval
        The calibration table at the margin: isotonic estimate and Venn-ABERS (low, high).
    confidence
        Calibrated probability that the outcome is right.
    outcome_set
        With a promise, the outcomes that the conformal set holds; else the outcomes that the
        thresholds give for some probability within the interval.
    reasons
        Reason groups that push towards the outcome's side, strongest first.
    counter_reasons
        Reason groups that push the other way, strongest first.
    rules
        Policy rules that fired.
    summary
        One sentence: the outcome and its three strongest reasons.
    thresholds
        From which probability on a review, and the adverse outcome, for this order.
    promise
        The promise that the outcome set keeps; None when the policy makes none.
    conflict
        The disagreement of rules, model and set; None when they agree.
    caps
        Counters that the order would use, as they stood.
    """

    outcome: str
    automated: bool
    raw_probability: float
    probability: float
    interval: tuple[float, float]
    confidence: float
    outcome_set: tuple[str, ...]
    attributions: Attributions
    reasons: tuple[Reason, ...]
    counter_reasons: tuple[Reason, ...]
    rules: tuple[RuleHit, ...]
    summary: Text
    thresholds: tuple[float, float]
    promise: Promised | None = None
    conflict: Disagreement | None = None
    caps: tuple[CapStanding, ...] = ()


@dataclass(frozen=True, slots=True)
class Runtime:
    """The code that decided, so that a replay that differs can name its cause.

    Parameters
    ----------
    candor, lightgbm, numpy, python, rapidfuzz, scipy, zen_engine
        Versions; SciPy brings the solver of the split.
    cpu, machine
        Which instructions of the processor are used where code chooses by it, and its architecture.
    explainer
        Which code explains, and its version.
    feature_code
        Digest of the code that reads an order.
    libc
        The C library and its version, which has the mathematical functions.
    """

    candor: str
    cpu: str
    explainer: str
    feature_code: str
    libc: str
    lightgbm: str
    machine: str
    numpy: str
    python: str
    rapidfuzz: str
    scipy: str
    zen_engine: str
