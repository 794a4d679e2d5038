"""Reading an order: JSON text to checked values, against a kind's request fields.

Wrong types are refused, each with its JSON pointer; missing fields stay missing; unknown fields
are kept by the caller (the body is sealed as it came) and named here.
"""

from dataclasses import dataclass, field

import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema

from models.declarations import RequestField
from models.domain import Json
from models.errors import FieldFault, MalformedJsonError, OrderInvalidError
from models.features import OrderValue
from models.kind import Kind

MOST_UNKNOWN = 50
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_DATETIME = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}"


@dataclass(frozen=True, slots=True)
class ParsedOrder:
    """A checked order.

    Parameters
    ----------
    values
        The known fields; dates are `date`, timestamps aware `datetime`.
    unknown_fields
        JSON pointers of fields that the kind does not know, at most 50.
    """

    values: dict[str, OrderValue]
    unknown_fields: tuple[str, ...]


@dataclass(slots=True)
class _Node:
    """One place of the request: a field, or an object with children, or an array of either."""

    spec: RequestField | None = None
    is_array: bool = False
    max_items: int = 500
    children: dict[str, "_Node"] = field(default_factory=dict)

    def is_required(self) -> bool:
        own = self.spec is not None and self.spec.required
        return own or (not self.is_array and any(c.is_required() for c in self.children.values()))


class OrderSchema:
    """The request schema of a kind: checks orders and describes itself as JSON Schema.

    Parameters
    ----------
    kind
        Whose request fields to use.
    """

    def __init__(self, kind: Kind) -> None:
        self._root = _build_tree(kind.request)
        self._validator = SchemaValidator(_object_schema(self._root))
        self._title = kind.title.en

    def parse(self, body: bytes) -> ParsedOrder:
        """Check an order.

        Parameters
        ----------
        body
            UTF-8 JSON text.

        Raises
        ------
        MalformedJsonError
            When the body is not JSON (RFC 8259: NaN and Infinity are not).
        OrderInvalidError
            With a JSON pointer for each wrong place.
        """
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise MalformedJsonError(f"not JSON: {error}") from error
        try:
            values = self._validator.validate_python(document)
        except ValidationError as error:
            raise OrderInvalidError(_faults(error)) from error
        unknown: list[str] = []
        _find_unknown(self._root, document, "", unknown)
        return ParsedOrder(values, tuple(unknown))

    def json_schema(self) -> dict[str, Json]:
        """Return the request schema in JSON Schema 2020-12."""
        schema = _describe(self._root)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self._title,
            **schema,
        }


def _build_tree(fields: tuple[RequestField, ...]) -> _Node:
    root = _Node()
    for request_field in fields:
        node = root
        for step in request_field.path.split("."):
            node = node.children.setdefault(step.removesuffix("[]"), _Node())
            node.is_array = node.is_array or step.endswith("[]")
        node.max_items = request_field.max_items
        if request_field.type != "object":
            node.spec = request_field
    return root


def _object_schema(node: _Node) -> core_schema.CoreSchema:
    fields = {
        name: core_schema.typed_dict_field(
            _value_schema(child)
            if child.is_required()
            else core_schema.nullable_schema(_value_schema(child)),
            required=child.is_required(),
        )
        for name, child in node.children.items()
    }
    return core_schema.typed_dict_schema(fields, extra_behavior="ignore", strict=True)


def _value_schema(node: _Node) -> core_schema.CoreSchema:
    one = _object_schema(node) if node.spec is None else _scalar_schema(node.spec)
    if not node.is_array:
        return one
    item = one if node.spec is None else core_schema.nullable_schema(one)
    return core_schema.list_schema(item, max_length=node.max_items, strict=True)


def _scalar_schema(spec: RequestField) -> core_schema.CoreSchema:
    if spec.type == "integer":
        return core_schema.int_schema(
            strict=True,
            ge=None if spec.minimum is None else int(spec.minimum),
            le=None if spec.maximum is None else int(spec.maximum),
        )
    if spec.type == "number":
        return core_schema.float_schema(
            strict=True, allow_inf_nan=False, ge=spec.minimum, le=spec.maximum
        )
    if spec.type == "boolean":
        return core_schema.bool_schema(strict=True)
    return _text_schema(spec)


def _text_schema(spec: RequestField) -> core_schema.CoreSchema:
    if spec.type == "date":
        text = core_schema.str_schema(strict=True, pattern=_DATE)
        return core_schema.chain_schema([text, core_schema.date_schema(strict=False)])
    if spec.type == "datetime":
        text = core_schema.str_schema(strict=True, pattern=_DATETIME, max_length=40)
        moment = core_schema.datetime_schema(strict=False, tz_constraint="aware")
        return core_schema.chain_schema([text, moment])
    if spec.enum:
        return core_schema.literal_schema(list(spec.enum))
    least = 1 if spec.required else None
    return core_schema.str_schema(strict=True, max_length=spec.max_length, min_length=least)


def _faults(error: ValidationError) -> tuple[FieldFault, ...]:
    return tuple(
        FieldFault("".join(f"/{_escape(str(part))}" for part in item["loc"]), item["msg"])
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def _find_unknown(node: _Node, value: Json, pointer: str, found: list[str]) -> None:
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        if len(found) >= MOST_UNKNOWN:
            return
        child = node.children.get(name)
        if child is None:
            found.append(f"{pointer}/{_escape(name)}")
        elif child.children and child.is_array and isinstance(item, list):
            for index, element in enumerate(item):
                _find_unknown(child, element, f"{pointer}/{_escape(name)}/{index}", found)
        elif child.children:
            _find_unknown(child, item, f"{pointer}/{_escape(name)}", found)


_JSON_TYPES = {"date": "string", "datetime": "string"}
_JSON_FORMATS = {"date": "date", "datetime": "date-time"}


def _describe(node: _Node) -> dict[str, Json]:
    if node.spec is not None:
        return _describe_scalar(node.spec)
    properties: dict[str, Json] = {}
    for name, child in node.children.items():
        one = _describe(child)
        if child.is_array:
            one = {"type": "array", "maxItems": child.max_items, "items": one}
        if not child.is_required():
            one = {**one, "type": [one["type"], "null"]}
        properties[name] = one
    required: list[Json] = [name for name, child in node.children.items() if child.is_required()]
    return {"type": "object", "properties": properties, "required": required}


def _describe_scalar(spec: RequestField) -> dict[str, Json]:
    schema: dict[str, Json] = {"type": _JSON_TYPES.get(spec.type, spec.type)}
    if spec.type in _JSON_FORMATS:
        schema["format"] = _JSON_FORMATS[spec.type]
    if spec.type == "string":
        schema["maxLength"] = spec.max_length
    limits = {"minimum": spec.minimum, "maximum": spec.maximum}
    schema |= {name: limit for name, limit in limits.items() if limit is not None}
    if spec.enum:
        allowed: list[Json] = list(spec.enum)
        schema["enum"] = allowed if spec.required else [*allowed, None]
    if spec.title is not None:
        schema["title"] = spec.title.en
        schema["x-title-zh"] = spec.title.zh
    return schema
