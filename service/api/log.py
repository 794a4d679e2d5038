"""The log's open read interface: keys, checkpoint, tiles, consistency."""

from base64 import b64encode
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from audit.log import consistency
from audit.merkle import EMPTY_ROOT
from audit.tiles import parse_tile_path, read_entry_bundle, read_tile
from models.domain import Json
from service.api import schemas
from service.api.access import OpenPlatform
from service.api.contract import answers, bytes_answer, refusals, text_answer
from service.api.replies import bytes_reply, json_reply, text_reply

router = APIRouter(prefix="/v1/log", tags=["log"])
_LARGEST_SIZE = 2**63 - 1
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
    return text_reply(f"{platform.signer.verifier_key} 0 -\n")


@router.get(
    "/checkpoint",
    response_class=Response,
    responses={
        **text_answer("Signed checkpoint.", "candor.local/log\n42\nCsUYapGGPo4dkMgIAUqom/Xajj7h\n"),
        **refusals(),
    },
)
def read_checkpoint(platform: OpenPlatform) -> Response:
    """Return the newest signed checkpoint (C2SP tlog-checkpoint)."""
    with platform.store.reading() as reading:
        note = reading.head()
    return text_reply(platform.signer.sign(0, EMPTY_ROOT) if note is None else note)


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
