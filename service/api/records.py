"""Recorded decisions: read, searched, amended, replayed, proved."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from audit.cosignature import cosigned_receipt
from audit.log import read_receipt
from models.errors import FieldFault
from service.api import schemas
from service.api.access import (
    AnswerLanguage,
    IdempotencyKey,
    OpenPlatform,
    RecordingTurns,
    allow,
)
from service.api.contract import answers, body, bytes_answer, reference, refusals, text_answer
from service.api.outside_schemas import OutsideDecisionRead
from service.api.reference_schemas import ReplayRequest
from service.api.replies import bytes_reply, json_reply, text_reply
from service.api.split_schemas import SplitDecisionRead
from service.auth import Action, Principal
from service.bodies import JSON, parse_body, read_body
from service.errors import RequestInvalidError
from service.usecases import search
from service.usecases.amend import override_decision, report_outcome
from service.usecases.as_of import OtherLists, replay_as_of
from service.usecases.read import read_decision
from service.usecases.records import (
    build_idempotency,
    check_idempotency_key,
    find_decision,
    find_kept_decision,
)
from service.usecases.replay import replay_decision

router = APIRouter(prefix="/v1/decisions", tags=["records"])
Reader = Annotated[Principal, Depends(allow(Action.READ_DECISION))]
Searcher = Annotated[Principal, Depends(allow(Action.SEARCH))]
Operator = Annotated[Principal, Depends(allow(Action.OVERRIDE))]
Reporter = Annotated[Principal, Depends(allow(Action.REPORT_OUTCOME))]
Replayer = Annotated[Principal, Depends(allow(Action.REPLAY))]
ProofReader = Annotated[Principal, Depends(allow(Action.READ_PROOF))]
FactsReader = Annotated[Principal, Depends(allow(Action.READ_FACTS))]
_OVERRIDE_EXAMPLE = {"outcome": "accept", "reason_code": "STOCK_ARRIVED", "comment": ""}
_OUTCOME_EXAMPLE = {"label": "delivered_on_time", "observed_at": "2026-03-20T09:00:00Z"}
_REPLAY_EXAMPLE = {"as_of": "2026-02-01T00:00:00Z"}
_WRITE_REFUSALS = (400, 401, 403, 404, 409, 410, 413, 415, 422)


@router.get(
    "",
    response_class=Response,
    responses={**answers(schemas.SearchPage, "A page, newest first."), **refusals(401, 403, 422)},
)
def search_decisions(
    *,
    platform: OpenPlatform,
    _searcher: Searcher,
    kind: str | None = None,
    order_id: str | None = None,
    outcome: str | None = None,
    from_at: Annotated[datetime | None, Query(alias="from")] = None,
    to_at: Annotated[datetime | None, Query(alias="to")] = None,
    review: Annotated[
        Literal["true", "false"] | None,
        Query(description="true: only what a person has still to decide."),
    ] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Response:
    """Search decisions, newest first."""
    most = platform.settings.search_max_limit
    if limit > most:
        raise RequestInvalidError((FieldFault("/query/limit", f"at most {most}"),))
    query = search.Query(
        kind=kind,
        order_id=order_id,
        outcome=outcome,
        from_at=from_at,
        to_at=to_at,
        awaits_review=None if review is None else review == "true",
        cursor=cursor,
        limit=limit,
    )
    return json_reply(search.search_decisions(platform, query))


@router.get(
    "/{decision_id}",
    response_class=Response,
    responses={
        **answers(
            schemas.DecisionRead,
            "The decision, and what was said of it later.",
            others=(SplitDecisionRead, OutsideDecisionRead),
        ),
        **refusals(401, 403, 404, 410, 422),
    },
)
def read(
    decision_id: str, platform: OpenPlatform, reader: Reader, language: AnswerLanguage
) -> Response:
    """Show a decision as answered, plus overrides, what really happened and its proof's status."""
    return json_reply(read_decision(platform, reader, decision_id, language), language=language)


@router.post(
    "/{decision_id}/override",
    status_code=201,
    response_class=Response,
    responses={
        **answers(schemas.RecordedOverride, "Recorded as a new entry.", 201),
        **refusals(*_WRITE_REFUSALS),
    },
    openapi_extra=body("application/json", reference(schemas.OverrideRequest), _OVERRIDE_EXAMPLE),
)
async def override(
    *,
    decision_id: str,
    request: Request,
    platform: OpenPlatform,
    operator: Operator,
    turns: RecordingTurns,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Decide otherwise than the platform did, or confirm it."""
    check_idempotency_key(idempotency_key)
    content = await read_body(request, JSON, platform.settings.max_body_bytes)
    form = parse_body(schemas.OverrideRequest, content)
    route = f"POST /v1/decisions/{decision_id}/override"
    entry = await turns.run(
        override_decision,
        platform,
        decision_id=decision_id,
        actor=operator.id,
        outcome=form.outcome,
        reason_code=form.reason_code,
        comment=form.comment,
        idempotency=build_idempotency(operator.id, route, idempotency_key, content),
    )
    return json_reply(entry, 201)


@router.post(
    "/{decision_id}/outcome",
    status_code=201,
    response_class=Response,
    responses={
        **answers(schemas.RecordedOutcome, "Recorded as a new entry.", 201),
        **refusals(*_WRITE_REFUSALS),
    },
    openapi_extra=body("application/json", reference(schemas.OutcomeRequest), _OUTCOME_EXAMPLE),
)
async def outcome(
    *,
    decision_id: str,
    request: Request,
    platform: OpenPlatform,
    reporter: Reporter,
    turns: RecordingTurns,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Report what really happened to the order."""
    check_idempotency_key(idempotency_key)
    content = await read_body(request, JSON, platform.settings.max_body_bytes)
    form = parse_body(schemas.OutcomeRequest, content)
    route = f"POST /v1/decisions/{decision_id}/outcome"
    entry = await turns.run(
        report_outcome,
        platform,
        decision_id=decision_id,
        actor=reporter.id,
        label=form.label,
        observed_at=form.observed_at,
        details=form.details,
        idempotency=build_idempotency(reporter.id, route, idempotency_key, content),
    )
    return json_reply(entry, 201)


@router.post(
    "/{decision_id}/replay",
    response_class=Response,
    responses={
        **answers(schemas.Replay, "The decision, and what it would be now."),
        **refusals(400, 401, 403, 404, 409, 410, 413, 415, 422),
    },
    openapi_extra=body(
        "application/json", reference(ReplayRequest), _REPLAY_EXAMPLE, is_required=False
    ),
)
async def replay(
    decision_id: str,
    request: Request,
    platform: OpenPlatform,
    _replayer: Replayer,
    language: AnswerLanguage,
) -> Response:
    """Decide it again from its record and compare every value, or ask other reference tables."""
    content = await read_body(request, JSON, platform.settings.max_body_bytes)
    form = parse_body(ReplayRequest, content) if content else ReplayRequest()
    lists = OtherLists(form.as_of, form.references)
    if lists:
        asked = await run_in_threadpool(replay_as_of, platform, decision_id, lists, language)
        return json_reply(asked, language=language)
    again = await run_in_threadpool(replay_decision, platform, decision_id, language)
    return json_reply(again, language=language)


@router.get(
    "/{decision_id}/proof",
    response_class=Response,
    responses={
        **text_answer("C2SP tlog-proof.", "c2sp.org/tlog-proof@v1\nindex 41\n..."),
        **refusals(401, 403, 404, 422),
    },
)
def proof(
    decision_id: str,
    platform: OpenPlatform,
    _reader: ProofReader,
    cosigned: Annotated[
        Literal["true", "false"],
        Query(description="`true`: under the newest checkpoint that a witness cosigned."),
    ] = "false",
) -> Response:
    """Return the receipt, as it was given with the answer."""
    record = find_decision(platform, decision_id)
    if cosigned == "true":
        return text_reply(cosigned_receipt(platform.store, record.entry_id))
    return text_reply(read_receipt(platform.store, record.entry_id))


@router.get(
    "/{decision_id}/leaf",
    response_class=Response,
    responses={
        **bytes_answer("The header's exact bytes.", "application/json"),
        **refusals(401, 403, 404, 422),
    },
)
def leaf(decision_id: str, platform: OpenPlatform, _reader: ProofReader) -> Response:
    """Return the exact stored bytes of the header: the Merkle leaf."""
    return bytes_reply(find_decision(platform, decision_id).leaf, "application/json")


@router.get(
    "/{decision_id}/facts",
    response_class=Response,
    responses={
        **bytes_answer("The facts part's exact bytes.", "application/json"),
        **refusals(401, 403, 404, 410, 422),
    },
)
def facts(decision_id: str, platform: OpenPlatform, _reader: FactsReader) -> Response:
    """Return the exact stored bytes of the facts part; the header holds their SHA-256."""
    record = find_kept_decision(platform, decision_id)
    return bytes_reply(record.facts or b"null", "application/json")
