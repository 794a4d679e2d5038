"""The log's open read interface: keys, checkpoint, tiles, consistency."""

from base64 import b64encode
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from audit.checkpoint import parse_checkpoint
from audit.cosignature import (
    add_cosignatures,
    cosigned_note,
    newest_cosigned,
    parse_witness_key,
)
from audit.errors import CosignatureInvalidError
from audit.log import consistency
from audit.merkle import EMPTY_ROOT
from audit.tiles import parse_tile_path, read_entry_bundle, read_tile
from models.domain import Json
from service.api import schemas
from service.api.access import OpenPlatform
from service.api.contract import answers, body, bytes_answer, refusals, text_answer
from service.api.replies import bytes_reply, json_reply, text_reply
from service.bodies import read_body
from service.usecases.log_keys import read_ranges

router = APIRouter(prefix="/v1/log", tags=["log"])
_LARGEST_SIZE = 2**63 - 1
_TEXT: Final = frozenset({"text/plain"})
_LONGEST_NOTE_BYTES: Final = 65_536
Size = Annotated[int, Query(ge=0, le=_LARGEST_SIZE)]


@router.get(
    "/key",
    response_class=Response,
    responses={**text_answer("Verifier key.", "candor.local/log+1a2b3c4d+AR..."), **refusals()},
)
def read_key(platform: OpenPlatform) -> Response:
    """Return the log's present signed-note verifier key."""
    return text_reply(f"{platform.signer.verifier_key}\n")


@router.get(
    "/keys",
    response_class=Response,
    responses={
        **text_answer("Keys with ranges.", "candor.local/log+1a2b3c4d+AR... 0 -"),
        **refusals(),
    },
)
def read_keys(platform: OpenPlatform) -> Response:
    """Return all verifier keys, each with the first and last tree size it signed (`-`: open)."""
    lines = [
        f"{one.vkey} {one.first_size} {'-' if one.last_size is None else one.last_size}\n"
        for one in read_ranges(platform)
        if one.vkey is not None
    ]
    return text_reply("".join(lines))


@router.get(
    "/checkpoint",
    response_class=Response,
    responses={
        **text_answer("Signed checkpoint.", "candor.local/log\n42\nCsUYapGGPo4dkMgIAUqom/Xajj7h\n"),
        **refusals(404, 422),
    },
)
def read_checkpoint(
    platform: OpenPlatform,
    cosigned: Annotated[
        Literal["true", "false"], Query(description="`true`: the newest that a witness cosigned.")
    ] = "false",
) -> Response:
    """Return the newest signed checkpoint (C2SP tlog-checkpoint), with its cosignatures."""
    with platform.store.reading() as reading:
        own = reading.head()
        if cosigned == "true":
            note = newest_cosigned(reading)
        elif own is not None:
            note = cosigned_note(reading, parse_checkpoint(own).tree_size)
        else:
            return text_reply(platform.signer.sign(0, EMPTY_ROOT))
    if own is not None:
        # Nobody sees a checkpoint that a crash and an older database could make untrue.
        platform.notary.keep(own)
    return text_reply(note)


@router.post(
    "/cosignatures",
    response_class=Response,
    responses={
        **text_answer("The cosignatures kept, a line each.", "— witness.example/w1 9f3c..."),
        **refusals(400, 404, 413, 415, 422),
    },
    openapi_extra=body("text/plain", {"type": "string"}, "candor.local/log\n42\nCsUYap...\n"),
)
async def add(request: Request, platform: OpenPlatform) -> Response:
    """Keep what a configured witness signed of a checkpoint (C2SP tlog-cosignature)."""
    content = await read_body(request, _TEXT, _LONGEST_NOTE_BYTES)
    try:
        note = content.decode()
    except UnicodeDecodeError as error:
        raise CosignatureInvalidError("the note is not UTF-8") from error
    witnesses = [parse_witness_key(vkey) for vkey in platform.settings.witnesses]
    kept = await run_in_threadpool(add_cosignatures, platform.store, note, witnesses)
    return text_reply("".join(f"{one.line}\n" for one in kept))


@router.get(
    "/tile/{path:path}",
    response_class=Response,
    responses={
        **bytes_answer("The tile or entry bundle.", "application/octet-stream"),
        **refusals(404, 422),
    },
)
def read_one_tile(path: str, platform: OpenPlatform) -> Response:
    """Return a tile or an entry bundle (C2SP tlog-tiles)."""
    tile = parse_tile_path(path)
    if tile.level is None:
        content = read_entry_bundle(platform.store, tile.index, tile.width)
    else:
        content = read_tile(platform.store, tile.level, tile.index, tile.width)
    return bytes_reply(content, "application/octet-stream", immutable=True)


@router.get(
    "/consistency",
    response_class=Response,
    responses={**answers(schemas.Consistency, "The proof."), **refusals(404, 422)},
)
def read_consistency(
    platform: OpenPlatform,
    from_size: Annotated[Size, Query(alias="from")],
    to_size: Annotated[Size, Query(alias="to")],
) -> Response:
    """Prove that the log at one size is a prefix of the log at another."""
    proof: list[Json] = [
        b64encode(digest).decode("ascii")
        for digest in consistency(platform.store, from_size, to_size)
    ]
    return json_reply({"from": from_size, "to": to_size, "proof": proof})
