"""Deciding, one order or many."""

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from models.errors import PlatformError
from service.answers import JsonObject
from service.api import schemas
from service.api.access import (
    AnswerLanguage,
    IdempotencyKey,
    OpenPlatform,
    RecordingTurns,
    allow,
)
from service.api.contract import Responses, answers, body, refusals
from service.api.outside_schemas import OutsideDecision
from service.api.replies import json_reply
from service.api.split_schemas import SplitDecision
from service.auth import Action, Principal
from service.bodies import JSON, NDJSON, read_body
from service.errors import BodyTooLargeError, OverloadedError
from service.problems import build_problem
from service.turns import Turns
from service.usecases.lines import Ask, Line
from service.usecases.records import check_idempotency_key
from service.usecases.split import chunk_lines, decide_any, decide_any_lines
from service.wiring import Platform

router = APIRouter(prefix="/v1/decisions", tags=["decisions"])
Decider = Annotated[Principal, Depends(allow(Action.DECIDE))]
_NDJSON_TYPE = "application/x-ndjson"
_ANY_ORDER = {
    "type": "object",
    "description": "The order, in the request schema that `GET /v1/kinds/{kind}` shows.",
}
_BATCH_ANSWER: Responses = {
    200: {
        "description": "One line for each line, in order: a decision or a problem document.",
        "content": {_NDJSON_TYPE: {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/{kind}",
    response_class=Response,
    responses={
        **answers(
            schemas.Decision, "The decision, recorded.", others=(SplitDecision, OutsideDecision)
        ),
        **refusals(400, 401, 403, 404, 409, 413, 415, 422),
    },
    openapi_extra=body("application/json", _ANY_ORDER, {"order_id": "A-1001"}),
)
async def decide(
    *,
    kind: str,
    request: Request,
    platform: OpenPlatform,
    caller: Decider,
    language: AnswerLanguage,
    turns: RecordingTurns,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Decide one order: the body is the order itself."""
    await run_in_threadpool(platform.live.get_kind, kind)
    order = await read_body(request, JSON, platform.settings.max_body_bytes)
    ask = Ask(kind, caller.id, f"POST /v1/decisions/{kind}", language)
    answer = await turns.run(decide_any, platform, ask, Line(order, idempotency_key))
    return json_reply(answer, language=language)


@router.post(
    "/{kind}/batch",
    response_class=Response,
    responses={**_BATCH_ANSWER, **refusals(401, 403, 404, 413, 415, 422)},
    openapi_extra=body(_NDJSON_TYPE, {"type": "string"}, '{"order_id": "A-1001"}\n'),
)
async def decide_batch(
    *,
    kind: str,
    request: Request,
    platform: OpenPlatform,
    caller: Decider,
    language: AnswerLanguage,
    turns: RecordingTurns,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Decide one order a line; a line that cannot be decided is answered with its problem."""
    check_idempotency_key(idempotency_key)
    await run_in_threadpool(platform.live.get_kind, kind)
    batch = await read_body(request, NDJSON, platform.settings.max_batch_bytes)
    bodies = batch.removesuffix(b"\n").split(b"\n") if batch else []
    most = platform.settings.max_batch_lines
    if len(bodies) > most:
        raise BodyTooLargeError(f"the batch has {len(bodies)} lines, {most} are allowed")
    lines = [
        Line(
            text.removesuffix(b"\r"), None if idempotency_key is None else f"{idempotency_key}#{n}"
        )
        for n, text in enumerate(bodies)
    ]
    ask = Ask(kind, caller.id, f"POST /v1/decisions/{kind}/batch", language)
    chunks = _decide_chunks(platform, turns, ask, lines, request.url.path)
    return StreamingResponse(chunks, media_type=_NDJSON_TYPE)


async def _decide_chunks(
    platform: Platform, turns: Turns, ask: Ask, lines: list[Line], instance: str
) -> AsyncIterator[bytes]:
    waiting = iter(lines)
    most = chunk_lines(ask.kind, platform.settings.batch_chunk_lines)
    while chunk := list(islice(waiting, most)):
        try:
            yield await turns.run(_decide_chunk, platform, ask, chunk, instance)
        except OverloadedError as error:
            yield (orjson.dumps(build_problem(error, instance)) + b"\n") * len(chunk)


def _decide_chunk(platform: Platform, ask: Ask, chunk: list[Line], instance: str) -> bytes:
    answers = _answer_chunk(platform, ask, chunk, instance)
    return b"".join(orjson.dumps(answer) + b"\n" for answer in answers)


def _answer_chunk(
    platform: Platform, ask: Ask, chunk: list[Line], instance: str
) -> Iterator[JsonObject]:
    limit = platform.settings.max_body_bytes
    too_long = BodyTooLargeError(f"the line is longer than {limit} bytes")
    short = [line for line in chunk if len(line.body) <= limit]
    answered = iter(_decide_short(platform, ask, short))
    for line in chunk:
        answer = next(answered) if len(line.body) <= limit else too_long
        if isinstance(answer, PlatformError):
            yield build_problem(answer, instance)
        else:
            yield answer


def _decide_short(
    platform: Platform, ask: Ask, lines: list[Line]
) -> list[JsonObject | PlatformError]:
    try:
        return decide_any_lines(platform, ask, lines)
    except PlatformError as error:
        # The status line has left already, so each line says why it was not decided.
        return [error] * len(lines)
