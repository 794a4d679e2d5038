"""A policy as data: what turns a calibrated probability into an outcome, and who approved what.

One JSON document (kept by `models.bundle.save_policy` under its digest) holds the thresholds, the
rules, a decision graph of decision tables (GoRules JSON decision model), caps on service resources,
approved exceptions, residency of data and what happens on a review. This module checks the
document; `models.policy` applies it, `models.decision_graph` reads the graph.

Rules kept here: everything that can fire has an id of its own; only an approved exception can make
an outcome milder, so rules never stand behind the model in `precedence`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from models.condition import Condition, parse_condition
from models.domain import Effect
from models.errors import PlatformError, PolicyError
from models.sentences import Part, Sentence, Slug

RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
FLOOR_VOICES = ("rule", "cap", "reference")
POLICY_FAILED = "policy-failed"
REFERENCE_STALE = "reference-stale"
# Values that every policy may use beside those of the kind.
DERIVED_VALUES = (
    "probability",
    "interval_low",
    "interval_high",
    "interval_width",
    "outcome_set_size",
)
CAP_VALUES = ("cap_used", "cap_limit", "cap_tier", "cap_day")


class Rule(Sentence):
    """A policy rule: when its conditions hold, the outcome is at least as strict as `effect`."""

    id: RuleId
    effect: Effect


class Promise(Part):
    """The share of each true label that may be automated wrongly, for conformal outcome sets."""

    adverse: Annotated[float, Field(gt=0, lt=1)]
    favourable: Annotated[float, Field(gt=0, lt=1)]


class Cap(Sentence):
    """A limit on a service resource, per day of the order and per tier.

    Parameters
    ----------
    when
        Orders that would use the resource.
    effect
        What happens to one more order when the limit is reached.
    tier
        Name of the value that holds the tier (``customer_tier``); None when there is one limit.
    limits
        Tier to orders per day.
    limit
        For tiers that `limits` does not name; None when those are not limited.
    """

    id: RuleId
    effect: Effect
    tier: Slug | None = None
    limits: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    limit: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if not self.limits and self.limit is None:
            raise ValueError(f"{self.id}: a cap needs limits or a limit")
        if self.limits and self.tier is None:
            raise ValueError(f"{self.id}: limits by tier need the name of the tier's value")
        return self


class ApprovedException(Part):
    """A person's approval that a rule does not count for a while.

    Parameters
    ----------
    id
        Its own id, shown in the record.
    rule
        Id of the rule that is lifted.
    actor, reason
        Who approved it and why.
    expires_on
        Last day on which it counts, compared with the order's own date.
    approved_on
        First day on which it counts; None for since ever.
    when
        Only for orders for which these conditions hold.
    """

    id: RuleId
    rule: RuleId
    actor: Annotated[str, Field(min_length=1, max_length=120)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    expires_on: date
    approved_on: date | None = None
    when: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.approved_on is not None and self.approved_on > self.expires_on:
            raise ValueError(f"{self.id}: expires before it is approved")
        return self

    def conditions(self) -> tuple[Condition, ...]:
        """Return `when`, parsed."""
        return tuple(parse_condition(text) for text in self.when)


class Residency(Sentence):
    """Data of orders for which `when` holds goes only to nodes that bear all `marks`.

    Parameters
    ----------
    when
        A value that is missing counts as holding: what is not known may not leave.
    data
        Which data: the features, the personal part, or both.
    marks
        What the node must be marked as: ``domestic``.
    """

    id: RuleId
    data: tuple[Literal["features", "personal"], ...] = ("features", "personal")
    marks: tuple[Slug, ...]


class Policy(Part):
    """Thresholds on the calibrated adverse probability, rules that can only be stricter, and more.

    Parameters
    ----------
    review_at, adverse_at
        From this probability on a review, and the adverse outcome, unless `decision` says others.
    rules
        Sentences with conditions.
    decision
        GoRules JSON decision model with thresholds and rules as decision tables.
    promise
        See `Promise`.
    on_review
        Whether a chain of decisions stops at a review or goes on provisionally.
    precedence
        Who wins when voices disagree, first to last; without it the strictest wins. Voices are
        ``rule``, ``cap``, ``reference``, ``model``, ``set`` (conformal), and names of kinds for a
        chain. Rules, caps and references come first or not at all: no other voice overrules them.
    caps, exceptions, residency
        See their classes.
    stale_effect
        What a reference table older than its limit does to an order.
    """

    name: Slug
    version: str
    review_at: Annotated[float, Field(ge=0, le=1)]
    adverse_at: Annotated[float, Field(ge=0, le=1)]
    rules: tuple[Rule, ...] = ()
    decision: dict[str, JsonValue] | None = None
    promise: Promise | None = None
    on_review: Literal["stop", "provisional"] = "stop"
    precedence: tuple[Slug, ...] = ()
    caps: tuple[Cap, ...] = ()
    exceptions: tuple[ApprovedException, ...] = ()
    residency: tuple[Residency, ...] = ()
    stale_effect: Effect = Effect.REVIEW

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.review_at > self.adverse_at:
            raise ValueError("review_at must not be above adverse_at")
        ids = [rule.id for rule in self.rules] + [cap.id for cap in self.caps]
        ids += [granted.id for granted in self.exceptions] + [r.id for r in self.residency]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"rule named twice: {', '.join(twice)}")
        self._check_precedence()
        for text in self._conditions():
            try:
                parse_condition(text)
            except PlatformError as error:
                raise ValueError(error.detail) from error
        return self

    def _check_precedence(self) -> None:
        if len(set(self.precedence)) < len(self.precedence):
            raise ValueError("precedence names a voice twice")
        floors = [voice in FLOOR_VOICES for voice in self.precedence]
        if floors != sorted(floors, reverse=True):
            raise ValueError(
                "precedence must name rule, cap and reference first: only an approved exception "
                "makes an outcome milder than they do"
            )

    def _conditions(self) -> Iterator[str]:
        for cap in self.caps:
            yield from cap.when
        for granted in self.exceptions:
            yield from granted.when
        for residency in self.residency:
            yield from residency.when

    @model_serializer(mode="wrap")
    def _without_unused_parts(self, dump: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        # A policy that says nothing of the later parts keeps the digest it always had.
        document: dict[str, JsonValue] = dump(self)
        fields = type(self).model_fields
        unused = [name for name in _LATER if getattr(self, name) == fields[name].default]
        return {name: value for name, value in document.items() if name not in unused}


_LATER = (
    "decision",
    "promise",
    "on_review",
    "precedence",
    "caps",
    "exceptions",
    "residency",
    "stale_effect",
)


def verify_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Check that a part of a policy reads only values that there are.

    Raises
    ------
    PolicyError
        Naming the part and the values that are unknown.

    Examples
    --------
    >>> verify_known("rule 'far'", ["distance_km"], {"distance_km", "stock"})
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise PolicyError(f"{what} uses unknown values: {', '.join(unknown)}")


def parse_policy(document: Mapping[str, JsonValue]) -> Policy:
    """Check a policy's data.

    Raises
    ------
    PolicyError
        Naming the place in the document.

    Examples
    --------
    >>> parse_policy({"name": "a", "version": "1", "review_at": 0.3, "adverse_at": 0.6}).on_review
    'stop'
    """
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        raise PolicyError(_first_fault(error)) from error


def load_policy_file(path: Path) -> Policy:
    """Read a policy that a person wrote: a JSON file.

    Raises
    ------
    PolicyError
        When it cannot be read or is not a policy.
    """
    try:
        return Policy.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PolicyError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise PolicyError(f"{path.name}: {_first_fault(error)}") from error


def built_in_policy(name: str) -> Policy:
    """Read a policy that ships with Candor.

    Raises
    ------
    PolicyError
        When there is none of that name.

    Examples
    --------
    >>> built_in_policy("risk").review_at
    0.2
    """
    if name not in built_in_policy_names():
        known = ", ".join(built_in_policy_names())
        raise PolicyError(f"no built-in policy {name!r}: there are {known}")
    return load_policy_file(_FOLDER / f"{name}.json")


def built_in_policy_names() -> tuple[str, ...]:
    """Return the names of the policies that ship with Candor.

    Examples
    --------
    >>> "admission" in built_in_policy_names()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def _first_fault(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place or 'policy'}: {first['msg']}"


_FOLDER = Path(__file__).parent / "policies"
