"""The parts that a kind file is made of: outcomes, request fields, features, training.

Each class is one table of the file; whether they fit together is checked by `models.kind`.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from models.domain import JsonScalar
from models.sentences import Part, Slug, Words

_PATH = re.compile(r"^[a-z][a-z0-9_]*(\[\])?(\.[a-z][a-z0-9_]*(\[\])?)*$")


class Outcome(Part):
    """One possible answer: its code in the API and its titles."""

    code: Slug
    title: Words


class Outcomes(Part):
    """The three answers of a kind, from mild to strict."""

    favourable: Outcome
    review: Outcome
    adverse: Outcome


class RequestField(Part):
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


class Group(Part):
    """Features that one sentence speaks of."""

    name: Slug
    title: Words


class Computed(Part):
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


class Lookup(Part):
    """A question to a reference table: what it says of an order, at the order's date.

    Parameters
    ----------
    name
        What its values are named after: ``NAME_matched`` (true, false, or missing when there was
        nothing to compare), ``NAME_count``, for fuzzy ``NAME_score`` (0 to 100), and unless
        `personal` ``NAME_entry``.
    table
        Name of the reference table.
    match
        How the last key is compared: equal, by similarity of names, or by longest prefix of a
        code. The keys before it are equal, or ``*`` in the table.
    inputs, keys
        Places of the order and the columns they are compared with. Places in arrays are compared
        element by element.
    date
        The date at which rows must be valid; the kind's `placed_at` when not given.
    values
        Names for texts and rules to columns of the best row (or `valid_from`, `valid_to`).
    reduce
        Take `values` from the best row, or make one number of all rows found.
    where
        Only rows with these values count, after the best row was chosen for each element: a more
        special row can so take back a general one.
    personal
        The matched entry identifies a person: it is sealed, and `values` with it.
    minimum_score
        For fuzzy: similarity from which a name is a match, 0 to 100.
    """

    name: Slug
    table: Slug
    match: Literal["exact", "fuzzy", "prefix"] = "exact"
    inputs: tuple[str, ...] = Field(min_length=1)
    keys: tuple[Slug, ...]
    date: str | None = None
    values: dict[Slug, Slug] = Field(default_factory=dict)
    reduce: Literal["best", "total", "largest", "smallest"] = "best"
    where: dict[Slug, JsonScalar] = Field(default_factory=dict)
    personal: bool = False
    minimum_score: Annotated[float, Field(gt=0, le=100)] = 90.0

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.inputs) != len(self.keys):
            raise ValueError(f"{self.name}: as many inputs as keys")
        if len({path.partition("[]")[0] for path in self.inputs if "[]" in path}) > 1:
            raise ValueError(f"{self.name}: inputs from one array only")
        if any(path.count("[]") > 1 for path in self.inputs):
            raise ValueError(f"{self.name}: inputs from an array within an array")
        return self

    def names(self) -> tuple[str, ...]:
        """Return the names of the values that it gives for texts and rules."""
        given = [f"{self.name}_matched", f"{self.name}_count"]
        if self.match == "fuzzy":
            given.append(f"{self.name}_score")
        return (*given, *(() if self.personal else (f"{self.name}_entry", *self.values)))


class Actionable(Part):
    """Who can act on a feature, and how far: what a counterfactual may change.

    Parameters
    ----------
    minimum, maximum
        The range within which the order's field may be written.
    step
        Written values are whole multiples of it: 1 for counts and days.
    scale
        A change of this size counts as one; it makes changes of different units comparable.
    """

    minimum: float
    maximum: float
    step: Annotated[float, Field(gt=0)] = 1.0
    scale: Annotated[float, Field(gt=0)] = 1.0


class Feature(Computed):
    """A value that the model sees.

    Parameters
    ----------
    monotone
        +1: a larger value never lowers the adverse probability; -1: never raises it; 0: free.
    protected
        A characteristic whose fairness is reported; never used in a counterfactual.
    actionable
        Set when somebody can change the order's field that `source` names.
    """

    type: Literal["number", "boolean", "category"] = "number"
    title: Words
    unit: str = ""
    monotone: Literal[-1, 0, 1] = 0
    group: Slug
    protected: bool = False
    actionable: Actionable | None = None

    @model_validator(mode="after")
    def _may_be_acted_on(self) -> Self:
        if self.actionable is None:
            return self
        if self.protected or self.type != "number" or self.source is None or "[]" in self.source:
            raise ValueError(
                f"{self.name}: only a number copied from one field, not protected, is actionable"
            )
        return self


class Label(Part):
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


class Excluded(Part):
    """A CSV column that is not used, and why (an outcome leak, an identifier)."""

    column: str
    why: str


class Training(Part):
    """How a model of this kind is fitted; all have defaults.

    Parameters
    ----------
    label
        Needed for kinds trained from a CSV.
    split
        By time: the last part is the test, the others are drawn at random, with the run's seed,
        from what comes before, so that each sees every season. Or all parts at random.
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


class Example(Part):
    """An order that can be posted as it is; `order` is its JSON text."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    title: Words
    order: str
