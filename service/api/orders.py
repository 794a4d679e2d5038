"""The whole decision about one order in one call."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from models.chain import chain_examples
from models.domain import Json
from service.api.access import (
    AnswerLanguage,
    IdempotencyKey,
    OpenPlatform,
    RecordingTurns,
    allow,
)
from service.api.chain_schemas import Chain
from service.api.contract import answers, body, refusals
from service.api.replies import json_reply
from service.auth import Action, Principal
from service.bodies import JSON, read_body
from service.usecases.chain import ChainAsk, decide_chain
from service.usecases.lines import Line
from service.usecases.records import read_object

router = APIRouter(prefix="/v1/orders", tags=["decisions"])
Decider = Annotated[Principal, Depends(allow(Action.DECIDE))]
_ROUTE = "POST /v1/orders/decide"
_ORDER = {
    "type": "object",
    "description": (
        "The order, with the fields that admission, risk and split ask for together; "
        "`GET /v1/kinds` shows examples under `chain`."
    ),
}


def _example() -> Json:
    return read_object(chain_examples()[0])["order"]


@router.post(
    "/decide",
    response_class=Response,
    responses={
        **answers(Chain, "The chain of decisions, recorded."),
        **refusals(400, 401, 403, 404, 409, 413, 415, 422),
    },
    openapi_extra=body("application/json", _ORDER, _example()),
)
async def decide_order(
    *,
    request: Request,
    platform: OpenPlatform,
    caller: Decider,
    language: AnswerLanguage,
    turns: RecordingTurns,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Decide one order from admission to split, in one transaction: the body is the order."""
    order = await read_body(request, JSON, platform.settings.max_body_bytes)
    ask = ChainAsk(caller.id, _ROUTE, language)
    answer = await turns.run(decide_chain, platform, ask, Line(order, idempotency_key))
    return json_reply(answer, language=language)
