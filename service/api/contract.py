"""The OpenAPI document: how routes describe their answers, and the shared schemas.

Routes name schemas by reference; `build_openapi` adds them, so that each stands there once.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.anchor_schemas import ANCHOR_DOCUMENTED
from service.api.chain_schemas import CHAIN_DOCUMENTED
from service.api.export_schemas import EXPORT_DOCUMENTED
from service.api.outside_schemas import OUTSIDE_DOCUMENTED
from service.api.reference_schemas import REFERENCE_DOCUMENTED
from service.api.schemas import DOCUMENTED, ProblemDocument
from service.api.split_schemas import SPLIT_DOCUMENTED
from service.api.subject_schemas import SUBJECT_DOCUMENTED
from service.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]
_REFERENCES = "#/components/schemas/{model}"
_TITLES = {
    400: ("malformed-json", "The body is not JSON"),
    401: ("unauthenticated", "The caller is unknown"),
    403: ("permission-denied", "The key's role may not do this"),
    404: ("not-found", "There is nothing at this path"),
    409: ("idempotency-conflict", "The Idempotency-Key was used before"),
    410: ("record-purged", "The record was purged"),
    413: ("body-too-large", "The body is too large"),
    415: ("unsupported-media-type", "The media type is not read here"),
    422: ("request-invalid", "The request is malformed"),
    500: ("internal-error", "Something unforeseen happened"),
    503: ("store-unavailable", "The store is unavailable"),
}


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": _REFERENCES.format(model=model.__name__)}


def answers(
    model: type[BaseModel],
    description: str,
    status: int = 200,
    *,
    others: tuple[type[BaseModel], ...] = (),
) -> Responses:
    """Describe a JSON answer; `others` are its shapes where no trained model decides."""
    schema: dict[str, Any] = reference(model)
    if others:
        schema = {"anyOf": [schema, *map(reference, others)]}
    content = {"application/json": {"schema": schema}}
    return {status: {"description": description, "content": content}}


def text_answer(description: str, example: str) -> Responses:
    """Describe a plain text answer."""
    content = {"text/plain": {"schema": {"type": "string"}, "example": example}}
    return {200: {"description": description, "content": content}}


def bytes_answer(description: str, media_type: str) -> Responses:
    """Describe an answer of exact bytes."""
    schema = {} if media_type == "application/json" else {"type": "string", "format": "binary"}
    return {200: {"description": description, "content": {media_type: {"schema": schema}}}}


def refusals(*statuses: int) -> Responses:
    """Describe problem documents, each with an example."""
    return {status: _refusal(status) for status in (*statuses, 500, 503)}


def body(
    media_type: str, schema: dict[str, Any], example: object, *, is_required: bool = True
) -> dict[str, Any]:
    """Describe a request body that a route reads by itself."""
    content = {media_type: {"schema": schema, "example": example}}
    return {"requestBody": {"required": is_required, "content": content}}


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the application."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    documented: list[type[BaseModel]] = [*DOCUMENTED, *CHAIN_DOCUMENTED]
    documented += [*REFERENCE_DOCUMENTED, *SPLIT_DOCUMENTED, *OUTSIDE_DOCUMENTED]
    documented += SUBJECT_DOCUMENTED
    documented += [*EXPORT_DOCUMENTED, *ANCHOR_DOCUMENTED]
    _, definitions = models_json_schema(
        [(model, "serialization") for model in documented],
        ref_template=_REFERENCES,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(definitions["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _refusal(status: int) -> dict[str, Any]:
    code, title = _TITLES[status]
    example = {
        "type": f"urn:candor:problem:{code}",
        "title": title,
        "status": status,
        "detail": "One sentence about this occurrence.",
        "instance": "/v1/decisions/admission",
        "code": code,
        "remedy": "One sentence on what to do.",
    }
    content = {MEDIA_TYPE: {"schema": reference(ProblemDocument), "example": example}}
    return {"description": title, "content": content}
