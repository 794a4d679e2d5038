"""Timestamps of the log's checkpoints by authorities outside; anybody may read them."""

from base64 import b64encode
from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query
from starlette.responses import Response

from audit.anchor import Anchor, anchors_of, newest_anchors
from audit.errors import RecordNotFoundError
from audit.records import format_time
from models.domain import Json
from service.answers import JsonObject
from service.api import anchor_schemas
from service.api.access import OpenPlatform
from service.api.contract import answers, bytes_answer, refusals
from service.api.replies import bytes_reply, json_reply
from service.usecases.anchor import REPLY

router = APIRouter(prefix="/v1/log/anchors", tags=["log"])
_LARGEST_SIZE: Final = 2**63 - 1
_MOST: Final = 1_000
Size = Annotated[int, Path(ge=1, le=_LARGEST_SIZE)]


@router.get(
    "",
    response_class=Response,
    responses={**answers(anchor_schemas.AnchorList, "Newest first."), **refusals(422)},
)
def list_anchors(
    platform: OpenPlatform,
    before: Annotated[
        int, Query(ge=1, le=_LARGEST_SIZE, description="Only of smaller trees.")
    ] = _LARGEST_SIZE,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
) -> Response:
    """List which checkpoints were stamped, by whom and when, newest first."""
    with platform.store.reading() as reading:
        found = newest_anchors(reading, before, limit)
    listed: list[Json] = [_describe(one) for one in found]
    return json_reply({"anchors": listed})


@router.get(
    "/{tree_size}",
    response_class=Response,
    responses={
        200: {
            **answers(anchor_schemas.AnchoredCheckpoint, "")[200],
            "description": "The checkpoint and its timestamps; or one of them.",
            "content": {
                **answers(anchor_schemas.AnchoredCheckpoint, "")[200]["content"],
                **bytes_answer("", REPLY)[200]["content"],
            },
        },
        **refusals(404, 422),
    },
)
def read_anchors(
    tree_size: Size,
    platform: OpenPlatform,
    authority: Annotated[
        str | None, Query(max_length=2_000, description="Only of this authority.")
    ] = None,
    accept: Annotated[str, Header(description="`application/timestamp-reply`: one of them.")] = "",
) -> Response:
    """Return the timestamps of one checkpoint, and the very bytes that were stamped."""
    with platform.store.reading() as reading:
        found = [
            one for one in anchors_of(reading, tree_size) if authority in {None, one.authority}
        ]
        if not found:
            raise RecordNotFoundError("no such checkpoint was stamped")
        note = reading.checkpoint_at(tree_size)
    if REPLY in accept.lower():
        # What `openssl ts -verify -data CHECKPOINT -in REPLY` takes.
        return bytes_reply(found[0].stamp.reply, REPLY)
    stamps: list[Json] = [
        {**_describe(one), "reply": b64encode(one.stamp.reply).decode("ascii")} for one in found
    ]
    return json_reply({"tree_size": tree_size, "checkpoint": note, "anchors": stamps})


def _describe(anchor: Anchor) -> JsonObject:
    return {
        "tree_size": anchor.tree_size,
        "authority": anchor.authority,
        "stamped_at": format_time(anchor.stamp.stamped_at),
    }
