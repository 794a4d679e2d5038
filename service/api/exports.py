"""Evidence bundles: asked for, watched, fetched."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from reports.evidence import EvidenceRequest
from service.api import export_schemas as schemas
from service.api.access import IdempotencyKey, OpenPlatform, allow
from service.api.contract import answers, body, bytes_answer, reference, refusals
from service.api.replies import json_reply
from service.auth import Action, Principal, require
from service.bodies import JSON, parse_body, read_body
from service.usecases.export_jobs import ExportJobs
from service.usecases.records import build_idempotency, check_idempotency_key

router = APIRouter(prefix="/v1/exports", tags=["exports"])
_ROUTE = "POST /v1/exports"
_EXAMPLE = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "kind": "admission"}


def get_jobs(request: Request) -> ExportJobs:
    """Return the running exports."""
    jobs: ExportJobs = request.app.state.exports
    return jobs


Exporter = Annotated[Principal, Depends(allow(Action.EXPORT))]
Jobs = Annotated[ExportJobs, Depends(get_jobs)]


@router.post(
    "",
    status_code=202,
    response_class=Response,
    responses={
        **answers(schemas.Export, "Taken; ask for its state.", 202),
        **refusals(400, 401, 403, 409, 413, 415, 422),
    },
    openapi_extra=body("application/json", reference(schemas.ExportRequest), _EXAMPLE),
)
async def export(
    request: Request,
    platform: OpenPlatform,
    jobs: Jobs,
    exporter: Exporter,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Export evidence of a period or of some decisions; a reason opens personal parts."""
    check_idempotency_key(idempotency_key)
    content = await read_body(request, JSON, platform.settings.max_batch_bytes)
    form = parse_body(schemas.ExportRequest, content)
    if form.reason is not None:
        require(exporter, Action.READ_IDENTIFIERS)
    asked = EvidenceRequest(
        from_at=form.from_at,
        to_at=form.to_at,
        kind=form.kind,
        decision_ids=None if form.decisions is None else tuple(form.decisions),
        order_ids=None if form.orders is None else tuple(form.orders),
        reason=form.reason,
    )
    used = build_idempotency(exporter.id, _ROUTE, idempotency_key, content)
    state, _ = await run_in_threadpool(jobs.submit, asked, exporter.id, used)
    reply = json_reply(state, 202)
    reply.headers["Location"] = f"/v1/exports/{state['export_id']}"
    return reply


@router.get(
    "/{export_id}",
    response_class=Response,
    responses={**answers(schemas.Export, "Its state."), **refusals(401, 403, 404, 422)},
)
def read(export_id: str, jobs: Jobs, _exporter: Exporter) -> Response:
    """Tell how far an export has come."""
    return json_reply(jobs.read(export_id))


@router.get(
    "/{export_id}/file",
    response_class=Response,
    responses={
        **bytes_answer("The evidence bundle.", "application/zip"),
        **refusals(401, 403, 404, 409, 422),
    },
)
def fetch(export_id: str, jobs: Jobs, exporter: Exporter) -> Response:
    """Return the evidence bundle, a zip."""
    if jobs.read(export_id)["is_personal"]:
        require(exporter, Action.READ_IDENTIFIERS)
    path = jobs.file(export_id)
    name = f"candor-evidence-{export_id}.zip"
    return FileResponse(path, media_type="application/zip", filename=name)
