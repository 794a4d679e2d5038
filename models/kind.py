"""A kind: what is decided, read from a TOML file. Adding one needs no code.

The file names the request's fields, the features with their source in the order, the outcomes,
the policy and the sentences. This module checks that the file is whole and consistent; it does
not read orders (`models.order`), compute features (`models.features`) or write texts
(`models.reasons`).
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.condition import Condition, parse_condition
from models.domain import Effect, Json, JsonScalar, Side
from models.errors import KindFileError

_SLUG = r"^[a-z][a-z0-9_]*$"
_PATH = re.compile(r"^[a-z][a-z0-9_]*(\[\])?(\.[a-z][a-z0-9_]*(\[\])?)*$")
Slug = Annotated[str, Field(pattern=_SLUG, max_length=64)]
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)(?::([a-z0-9]+))?\}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Words(_Part):
    """The same words in Chinese and English."""

    zh: str
    en: str


class Outcome(_Part):
    """One possible answer: its code in the API and its titles."""

    code: Slug
    title: Words


class Outcomes(_Part):
    """The three answers of a kind, from mild to strict."""

    favourable: Outcome
    review: Outcome
    adverse: Outcome


class RequestField(_Part):
    """One place of the order.

    Parameters
    ----------
    path
        Dotted place, ``[]`` for the elements of an array: ``lines[].quantity``.
    type
        What the JSON value must be. `object` is for ``name[]`` entries that set `max_items`.
    required, personal
        Refused when absent; an identifier or free text that is only kept sealed.
    minimum, maximum, max_length, enum, max_items
        Limits. Texts are at most 200 characters and arrays 500 elements unless said otherwise.
    column, format
        For kinds trained from a CSV: the column it is read from, and a date's strptime format.
    """

    path: str
    type: Literal["string", "integer", "number", "boolean", "date", "datetime", "object"]
    title: Words | None = None
    required: bool = False
    personal: bool = False
    minimum: float | None = None
    maximum: float | None = None
    max_length: int = 200
    max_items: int = 500
    enum: tuple[str, ...] = ()
    column: str | None = None
    format: str | None = None

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if not _PATH.match(path):
            raise ValueError(f"not a path of lower-case names: {path!r}")
        return path


class Group(_Part):
    """Features that one sentence speaks of."""

    name: Slug
    title: Words


class Computed(_Part):
    """A value taken from the order: directly (`source`) or by a named function of `inputs`."""

    name: Slug
    source: str | None = None
    function: str | None = None
    inputs: tuple[str, ...] = ()
    params: dict[str, JsonScalar] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.source is None) == (self.function is None):
            raise ValueError(f"{self.name}: give either source or function")
        if self.function is not None and not self.inputs:
            raise ValueError(f"{self.name}: a function needs inputs")
        return self


class ContextValue(Computed):
    """A value that texts and rules may use but the model does not see."""


class Feature(Computed):
    """A value that the model sees.

    Parameters
    ----------
    monotone
        +1: a larger value never lowers the adverse probability; -1: never raises it; 0: free.
    protected
        A characteristic whose fairness is reported; never used in a counterfactual.
    """

    type: Literal["number", "boolean", "category"] = "number"
    title: Words
    unit: str = ""
    monotone: Literal[-1, 0, 1] = 0
    group: Slug
    protected: bool = False


class Sentence(_Part):
    """A sentence with placeholders ``{name}`` or ``{name:format}`` and when it may be said."""

    when: tuple[str, ...] = ()
    zh: str
    en: str

    def conditions(self) -> tuple[Condition, ...]:
        """Return `when`, parsed."""
        return tuple(parse_condition(text) for text in self.when)

    def placeholders(self) -> tuple[str, ...]:
        """Return the names that the sentence shows, in both languages, each once."""
        found = [match[1] for text in (self.zh, self.en) for match in PLACEHOLDER.finditer(text)]
        return tuple(dict.fromkeys(found))


class ReasonTemplate(Sentence):
    """The sentence of a reason group on one side; the first that holds is said."""

    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=64)]
    group: Slug
    side: Side


class SummaryTemplate(Sentence):
    """The words before the reasons: ``拒绝该笔跨境订单因:``."""

    outcome: Literal["favourable", "review", "adverse"]


class Rule(Sentence):
    """A policy rule: when its conditions hold, the outcome is at least as strict as `effect`."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
    effect: Effect


class Policy(_Part):
    """Thresholds on the calibrated adverse probability, and rules that can only be stricter."""

    name: Slug
    version: str
    review_at: Annotated[float, Field(ge=0, le=1)]
    adverse_at: Annotated[float, Field(ge=0, le=1)]
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.review_at > self.adverse_at:
            raise ValueError("review_at must not be above adverse_at")
        return self


class Label(_Part):
    """How a CSV's rows are labelled adverse.

    Parameters
    ----------
    column, positive
        The row is adverse when the column holds one of these texts.
    later, than, format
        Or when the date in column `later` is after the date in column `than`.
    """

    column: str | None = None
    positive: tuple[str, ...] = ()
    later: str | None = None
    than: str | None = None
    format: str | None = None


class Excluded(_Part):
    """A CSV column that is not used, and why (an outcome leak, an identifier)."""

    column: str
    why: str


class Training(_Part):
    """How a model of this kind is fitted; all have defaults.

    Parameters
    ----------
    label
        Needed for kinds trained from a CSV.
    split
        By time (the last part is the test) or at random with the run's seed.
    fractions
        Parts of the rows for fitting, early stopping, calibration and test; they sum to 1.
    params
        LightGBM parameters that replace the defaults.
    max_categories
        Categories kept per feature, most frequent first; the rest are read as missing.
    """

    label: Label | None = None
    split: Literal["time", "random"] = "time"
    fractions: tuple[float, float, float, float] = (0.46, 0.09, 0.25, 0.20)
    params: dict[str, float | int | str | bool] = Field(default_factory=dict)
    max_categories: int = 254
    excluded: tuple[Excluded, ...] = ()

    @field_validator("fractions")
    @classmethod
    def _whole(cls, parts: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        if abs(sum(parts) - 1) > 1e-9 or min(parts) <= 0:  # noqa: PLR2004 - rounding of decimals
            raise ValueError("fractions must be above 0 and sum to 1")
        return parts


class Example(_Part):
    """An order that can be posted as it is; `order` is its JSON text."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    title: Words
    order: str


class Kind(_Part):
    """What is decided. See the module; every name is unique and every reference resolves."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
    version: str
    title: Words
    adverse_event: Words
    order_id: str
    placed_at: str | None = None
    subject_id: str | None = None
    outcomes: Outcomes
    request: tuple[RequestField, ...]
    groups: tuple[Group, ...]
    features: tuple[Feature, ...]
    context: tuple[ContextValue, ...] = ()
    reasons: tuple[ReasonTemplate, ...]
    summaries: tuple[SummaryTemplate, ...]
    policy: Policy
    training: Training = Training()
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_unique()
        self._check_paths()
        self._check_templates()
        return self

    def _check_unique(self) -> None:
        for what, names in (
            ("request path", [field.path for field in self.request]),
            ("group", [group.name for group in self.groups]),
            ("value", [value.name for value in (*self.features, *self.context)]),
            ("example", [example.name for example in self.examples]),
            ("rule", [rule.id for rule in self.policy.rules]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} named twice: {', '.join(twice)}")

    def _check_paths(self) -> None:
        known = {field.path for field in self.request}
        personal = {field.path for field in self.request if field.personal}
        for value in (*self.features, *self.context):
            for path in (value.source, *value.inputs):
                if path is not None and path not in known:
                    raise ValueError(f"{value.name}: the request has no field {path!r}")
                if path in personal and value.function is None:
                    raise ValueError(f"{value.name}: {path!r} is personal and may not be copied")
        for path in (self.order_id, self.placed_at, self.subject_id):
            if path is not None and path not in known:
                raise ValueError(f"the request has no field {path!r}")
        groups = {group.name for group in self.groups}
        for feature in self.features:
            if feature.group not in groups:
                raise ValueError(f"{feature.name}: no group {feature.group!r}")

    def _check_templates(self) -> None:
        names = {value.name for value in (*self.features, *self.context)}
        for sentence in (*self.reasons, *self.summaries, *self.policy.rules):
            used = {name for condition in sentence.conditions() for name in condition.names()}
            unknown = sorted((used | set(sentence.placeholders())) - names)
            if unknown:
                raise ValueError(f"{sentence.zh!r} uses unknown values: {', '.join(unknown)}")
        always = {
            (template.group, template.side)
            for template in self.reasons
            if not template.when and not template.placeholders()
        }
        for group in self.groups:
            for side in Side:
                if (group.name, side) not in always:
                    raise ValueError(f"group {group.name} has no plain {side} template")
        plain = {summary.outcome for summary in self.summaries if not summary.when}
        if plain != {"favourable", "review", "adverse"}:
            raise ValueError("each outcome needs a summary without conditions")

    def canonical(self) -> Json:
        """Return the kind as plain JSON data, the form that a bundle keeps."""
        document: Json = self.model_dump(mode="json")
        return document


def parse_kind(document: Mapping[str, Json]) -> Kind:
    """Check a kind's data.

    Raises
    ------
    KindFileError
        Naming the place in the file.
    """
    try:
        return Kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise KindFileError(f"{place or 'kind'}: {first['msg']}") from error


def load_kind(path: Path) -> Kind:
    """Read a kind from a TOML file.

    Raises
    ------
    KindFileError
        When the file is not TOML or does not describe a kind.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise KindFileError(f"{path.name}: {error}") from error
    return parse_kind(document)


def built_in_kind(name: str) -> Kind:
    """Read a kind that ships with Candor.

    Raises
    ------
    KindFileError
        When there is none of that name.

    Examples
    --------
    >>> built_in_kind("admission").outcomes.adverse.code
    'reject'
    """
    if name not in built_in_names():
        raise KindFileError(f"no built-in kind {name!r}: there are {', '.join(built_in_names())}")
    return load_kind(_FOLDER / f"{name}.toml")


def built_in_names() -> tuple[str, ...]:
    """Return the names of the kinds that ship with Candor.

    Examples
    --------
    >>> "risk" in built_in_names()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


_FOLDER = Path(__file__).parent / "kinds"
