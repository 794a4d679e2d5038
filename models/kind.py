"""A kind: what is decided, read from a TOML file. Adding one needs no code.

The file names the request's fields, the features with their source in the order, the outcomes,
the policy and the sentences. This module checks that the file is whole and consistent; it does
not read orders (`models.order`), compute features (`models.features`) or write texts
(`models.reasons`).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from models.declarations import (
    Actionable,
    ContextValue,
    Example,
    Feature,
    Group,
    Lookup,
    Outcomes,
    RequestField,
    Training,
)
from models.domain import Json, Side, ValueType
from models.errors import KindFileError
from models.node import NODE_FAILED, NODE_NOT_ASKED, Node
from models.policy_document import DERIVED_VALUES, Policy, Rule, load_policy_file
from models.sentences import Part, ReasonTemplate, SummaryTemplate, Words


class Kind(Part):
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
    lookups: tuple[Lookup, ...] = ()
    node: Node | None = None
    reasons: tuple[ReasonTemplate, ...] = ()
    summaries: tuple[SummaryTemplate, ...]
    policy: Policy
    training: Training = Training()
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_unique()
        self._check_paths()
        self._check_features()
        self._check_templates()
        self._check_node()
        return self

    def _check_unique(self) -> None:
        for what, names in (
            ("request path", [field.path for field in self.request]),
            ("group", [group.name for group in self.groups]),
            ("value", self._names()),
            ("example", [example.name for example in self.examples]),
            ("rule", [rule.id for rule in self.policy.rules]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} named twice: {', '.join(twice)}")

    def _names(self) -> list[str]:
        own = [value.name for value in (*self.features, *self.context)]
        return own + [name for lookup in self.lookups for name in lookup.names()]

    def _check_paths(self) -> None:
        known = {field.path for field in self.request}
        personal = {field.path for field in self.request if field.personal}
        for value in (*self.features, *self.context):
            for path in (value.source, *value.inputs):
                if path is not None and path not in known:
                    raise ValueError(f"{value.name}: the request has no field {path!r}")
                if path in personal and value.function is None:
                    raise ValueError(f"{value.name}: {path!r} is personal and may not be copied")
        for lookup in self.lookups:
            _check_lookup_paths(lookup, known, personal)
        for path in (self.order_id, self.placed_at, self.subject_id):
            if path is not None and path not in known:
                raise ValueError(f"the request has no field {path!r}")

    def _check_features(self) -> None:
        groups = {group.name for group in self.groups}
        for feature in self.features:
            if feature.group not in groups:
                raise ValueError(f"{feature.name}: no group {feature.group!r}")
            if feature.actionable is not None:
                self._check_read_once(feature)
                self._check_writable(feature, feature.actionable)

    def _check_writable(self, feature: Feature, actionable: Actionable) -> None:
        # A value that the request refuses could not be posted back.
        field = next(field for field in self.request if field.path == feature.source)
        if field.type not in {"integer", "number"}:
            raise ValueError(f"{feature.name}: actionable, but {field.path} is not a number")
        if field.type == "integer" and actionable.step % 1:
            raise ValueError(f"{feature.name}: {field.path} takes whole numbers, the step is not")
        too_low = field.minimum is not None and actionable.minimum < field.minimum
        if too_low or (field.maximum is not None and actionable.maximum > field.maximum):
            raise ValueError(f"{feature.name}: {field.path} does not take the whole range")

    def _check_read_once(self, feature: Feature) -> None:
        # A counterfactual's search is exact only when the field moves this one feature.
        others = [
            value.name
            for value in (*self.features, *self.context)
            if value.name != feature.name and feature.source in (value.source, *value.inputs)
        ]
        others += [
            lookup.name
            for lookup in self.lookups
            if feature.source in (*lookup.inputs, lookup.date or self.placed_at)
        ]
        if others:
            raise ValueError(f"{feature.name}: actionable, but {others[0]} reads its field too")

    def _check_templates(self) -> None:
        names = set(self._names())
        rule_names = names | set(DERIVED_VALUES)
        for sentence in (*self.reasons, *self.summaries, *self.policy.rules):
            used = {name for condition in sentence.conditions() for name in condition.names()}
            allowed = rule_names if isinstance(sentence, Rule) else names
            unknown = sorted((used | set(sentence.placeholders())) - allowed)
            if unknown:
                raise ValueError(f"{sentence.zh!r} uses unknown values: {', '.join(unknown)}")
        if self.node is None or self.node.explains:
            self._check_reasons()
        plain = {summary.outcome for summary in self.summaries if not summary.when}
        if plain != {"favourable", "review", "adverse"}:
            raise ValueError("each outcome needs a summary without conditions")

    def _check_reasons(self) -> None:
        always = {
            (template.group, template.side)
            for template in self.reasons
            if not template.when and not template.placeholders()
        }
        for group in self.groups:
            for side in Side:
                if (group.name, side) not in always:
                    raise ValueError(f"group {group.name} has no plain {side} template")

    def _check_node(self) -> None:
        if self.node is None:
            return
        if not self.features:
            raise ValueError("a node is sent features, and the kind has none")
        personal = {field.path for field in self.request if field.personal}
        for feature in self.features:
            if personal & {feature.source, *feature.inputs}:
                raise ValueError(f"{feature.name}: reads a personal field, and a node is sent it")
        if self.policy.promise is not None:
            raise ValueError(
                "no promise can be kept of a node's probability: nothing calibrates it"
            )
        ids = {rule.id for rule in self.policy.rules} | {cap.id for cap in self.policy.caps}
        taken = sorted(ids & {NODE_FAILED, NODE_NOT_ASKED})
        if taken:
            raise ValueError(f"the rule id {taken[0]} is the platform's own")

    def value_types(self) -> dict[str, ValueType]:
        """Return the values that a policy may read, with their types."""
        fields = {field.path: _FIELD_TYPES.get(field.type, "text") for field in self.request}
        types: dict[str, ValueType] = {
            feature.name: "text" if feature.type == "category" else "number"
            for feature in self.features
        }
        for value in self.context:
            if value.source is not None:
                types[value.name] = fields[value.source]
            else:
                types[value.name] = "text" if value.function == "date_text" else "number"
        for lookup in self.lookups:
            types |= dict.fromkeys(lookup.names(), "any")
            types[f"{lookup.name}_matched"] = "boolean"
            types[f"{lookup.name}_count"] = "number"
        return types

    def canonical(self) -> Json:
        """Return the kind as plain JSON data, the form that a bundle keeps."""
        document: dict[str, Json] = self.model_dump(mode="json")
        if self.node is None:
            # A kind without a node keeps the digest that it always had.
            del document["node"]
        return document


def _check_lookup_paths(lookup: Lookup, known: set[str], personal: set[str]) -> None:
    for path in (*lookup.inputs, *([] if lookup.date is None else [lookup.date])):
        if path not in known:
            raise ValueError(f"{lookup.name}: the request has no field {path!r}")
        if path in personal and not lookup.personal:
            raise ValueError(f"{lookup.name}: {path!r} is personal, so the look-up is too")


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
    PolicyError
        When it names a policy file that is not a policy.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise KindFileError(f"{path.name}: {error}") from error
    if isinstance(document.get("policy"), str):
        # A policy of its own file: the path is relative to the kind's.
        document["policy"] = load_policy_file(path.parent / document["policy"])
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
_FIELD_TYPES: dict[str, ValueType] = {
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
}
