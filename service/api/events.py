"""Events for the OMS: asked for, or streamed as server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

import anyio
import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from models.domain import Json
from service.api.access import OpenPlatform, allow
from service.api.chain_schemas import EventList
from service.api.contract import answers, refusals
from service.api.replies import json_reply
from service.auth import Action, Principal
from service.usecases.events import read_events
from service.usecases.records import read_object
from service.wiring import Platform

router = APIRouter(prefix="/v1/events", tags=["events"])
Reader = Annotated[Principal, Depends(allow(Action.READ_EVENTS))]
_STREAM = "text/event-stream"
_PAGE = 100
_LARGEST = 2**53


@router.get(
    "",
    response_class=Response,
    responses={
        **answers(EventList, "Events after a place in the log, oldest first."),
        **refusals(401, 403, 422),
    },
)
async def list_events(
    *,
    request: Request,
    platform: OpenPlatform,
    _reader: Reader,
    after: Annotated[int, Query(ge=-1, le=_LARGEST)] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = _PAGE,
    last_event_id: Annotated[int | None, Header(ge=-1, le=_LARGEST)] = None,
) -> Response:
    """Show overrides, publications and new reference data after a leaf index, at least once.

    With `Accept: text/event-stream` they are streamed as they happen; a stream that was broken off
    goes on after `Last-Event-ID`.
    """
    if _STREAM not in request.headers.get("accept", ""):
        return json_reply(await run_in_threadpool(read_events, platform, after, limit))
    start = after if last_event_id is None else last_event_id
    return StreamingResponse(
        _stream(request, platform, start), media_type=_STREAM, headers={"Cache-Control": "no-store"}
    )


async def _stream(request: Request, platform: Platform, after: int) -> AsyncIterator[bytes]:
    settings = platform.settings
    with anyio.move_on_after(settings.event_stream_seconds):
        while not await request.is_disconnected():
            found = await run_in_threadpool(read_events, platform, after, _PAGE)
            events = found["events"]
            for event in events if isinstance(events, list) else []:
                yield _lines(event)
            after = int(str(found["next"]))
            if not events:
                # A comment keeps proxies from closing a stream that has nothing to say.
                yield b": waiting\n\n"
                await anyio.sleep(settings.event_poll_seconds)


def _lines(event: Json) -> bytes:
    said = read_object(event)
    head = f"id: {said['leaf_index']}\nevent: {said['type']}\ndata: ".encode()
    return head + orjson.dumps(event) + b"\n\n"
