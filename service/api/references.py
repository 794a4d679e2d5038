"""Reference tables: what is in force, what was, and loading a new version."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from models.reference import ReferenceTable
from service.api import reference_schemas as schemas
from service.api.access import IdempotencyKey, OpenPlatform, RecordingTurns, allow
from service.api.contract import answers, body, reference, refusals
from service.api.replies import json_reply
from service.auth import Action, Principal
from service.bodies import JSON, parse_body, read_body
from service.reference_versions import Origin
from service.usecases.records import build_idempotency, check_idempotency_key
from service.usecases.references import Loading, list_references, load_version, read_reference
from service.wiring import Platform

router = APIRouter(prefix="/v1/references", tags=["references"])
Reader = Annotated[Principal, Depends(allow(Action.READ_REFERENCES))]
Loader = Annotated[Principal, Depends(allow(Action.LOAD_REFERENCE))]
_ROUTE = "POST /v1/references"
_EXAMPLE = {
    "name": "sanctioned_destinations",
    "title": {"zh": "制裁目的国名单", "en": "sanctioned destinations"},
    "source": "https://lists.example/destinations",
    "as_of": "2026-01-01T00:00:00Z",
    "staleness_days": 30,
    "columns": ["country"],
    "rows": [{"id": "DST-001", "valid_from": "2020-01-01", "values": {"country": "XX"}}],
}


@router.get(
    "",
    response_class=Response,
    responses={**answers(schemas.ReferenceList, "All tables."), **refusals(401, 403, 422)},
)
def list_all(platform: OpenPlatform, _reader: Reader) -> Response:
    """List the version in force of every table, with the live kinds that ask it."""
    return json_reply(list_references(platform))


@router.get(
    "/{name}",
    response_class=Response,
    responses={
        **answers(schemas.ReferenceRead, "One version with its content."),
        **refusals(401, 403, 404, 422),
    },
)
def read(
    name: str,
    platform: OpenPlatform,
    _reader: Reader,
    digest: Annotated[str | None, Query(description="A version; else the one in force.")] = None,
) -> Response:
    """Show one version of a table with its content, and what versions there were."""
    return json_reply(read_reference(platform, name, digest))


@router.post(
    "",
    status_code=201,
    response_class=Response,
    responses={
        **answers(schemas.ReferenceLoading, "In force from its entry on.", 201),
        **answers(schemas.ReferenceLoading, "In force already; nothing was recorded."),
        **refusals(400, 401, 403, 404, 409, 413, 415, 422),
    },
    openapi_extra=body("application/json", reference(schemas.ReferenceTable), _EXAMPLE),
)
async def load(
    *,
    request: Request,
    platform: OpenPlatform,
    loader: Loader,
    turns: RecordingTurns,
    force: Annotated[
        Literal["true", "false"],
        Query(description="true: although it is older than the version in force."),
    ] = "false",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Bring a version of a table into force; the body is the table."""
    check_idempotency_key(idempotency_key)
    content = await read_body(request, JSON, platform.settings.reference_max_bytes)
    # Parsing and compiling a long list takes time that other requests must not wait.
    loading = await turns.run(
        _load, platform, loader.id, content, idempotency_key, is_forced=force == "true"
    )
    return json_reply(loading.describe(), 201 if loading.is_new else 200)


def _load(
    platform: Platform,
    actor: str,
    content: bytes,
    idempotency_key: str | None,
    *,
    is_forced: bool,
) -> Loading:
    return load_version(
        platform,
        parse_body(ReferenceTable, content),
        actor=actor,
        origin=Origin.HTTP,
        is_forced=is_forced,
        idempotency=build_idempotency(actor, _ROUTE, idempotency_key, content),
    )
